# tests/unit/<room>_<noun>.c links that room whole: every symbol of the room has to be
# found in the rooms below it. tests/store/<noun>.c is the same for the store, with a
# database: CALLGATE_TEST_DATABASE_URL, which scripts/test provides.
pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)

function(callgate_test file room label)
	get_filename_component(noun ${file} NAME_WE)
	set(name ${label}_${noun})
	add_executable(${name} ${file})
	target_include_directories(${name} PRIVATE
		${PROJECT_SOURCE_DIR}/tests ${PROJECT_SOURCE_DIR}/src/${room})
	target_link_libraries(${name} PRIVATE
		"$<LINK_LIBRARY:WHOLE_ARCHIVE,room_${room}>" PkgConfig::CMOCKA Threads::Threads)
	add_test(NAME ${label}/${noun} COMMAND ${name})
	set_tests_properties(${label}/${noun} PROPERTIES
		LABELS ${label} TIMEOUT 120 SKIP_RETURN_CODE 77)
endfunction()

file(GLOB unit CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/unit/*.c)
foreach(file IN LISTS unit)
	get_filename_component(noun ${file} NAME_WE)
	string(REGEX MATCH "^[a-z0-9]+" room ${noun})
	if(NOT TARGET room_${room})
		message(FATAL_ERROR "${file}: there is no room '${room}'")
	endif()
	callgate_test(${file} ${room} unit)
endforeach()

file(GLOB store CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/store/*.c)
foreach(file IN LISTS store)
	callgate_test(${file} store store)
	# A store test asks the database questions of its own, through the room's pg.h.
	get_filename_component(noun ${file} NAME_WE)
	target_link_libraries(store_${noun} PRIVATE PkgConfig::PQ)
	# A large one has a folder of its own name for what it is made of.
	file(GLOB parts CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/store/${noun}/*.c)
	target_sources(store_${noun} PRIVATE ${parts})
endforeach()

# What the linker cannot see, because static libraries pass their foreign libraries on:
# a foreign call in the wrong room.
add_test(NAME unit/fences
	COMMAND ${CMAKE_COMMAND} -DSOURCE_DIR=${PROJECT_SOURCE_DIR} -P ${PROJECT_SOURCE_DIR}/cmake/fences.cmake)
set_tests_properties(unit/fences PROPERTIES LABELS unit TIMEOUT 60)
