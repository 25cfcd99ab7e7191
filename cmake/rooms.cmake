# callgate_room(<name> [LINKS <room>…] [FOREIGN <target>…])
#
# Makes library room_<name> (alias callgate::<name>) from src/<name>/*.c. The contracts in
# include/ are for everyone; the headers beside the sources are for the room alone; a
# foreign library is PRIVATE to the room that meets it.
function(callgate_room name)
	cmake_parse_arguments(arg "" "" "LINKS;FOREIGN" ${ARGN})
	file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.c)
	add_library(room_${name} STATIC ${sources})
	add_library(callgate::${name} ALIAS room_${name})
	target_include_directories(room_${name}
		PUBLIC  ${PROJECT_SOURCE_DIR}/include ${PROJECT_BINARY_DIR}/generated
		PRIVATE ${PROJECT_SOURCE_DIR}/src/${name})
	list(TRANSFORM arg_LINKS PREPEND room_)
	target_link_libraries(room_${name} PUBLIC ${arg_LINKS} PRIVATE ${arg_FOREIGN})
endfunction()

# callgate_migrations(<room>): embeds sql/NNN_name.sql into that room, in order of number.
function(callgate_migrations room)
	set(generated ${PROJECT_BINARY_DIR}/generated/migrations.c)
	file(GLOB sql CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/sql/*.sql)
	add_custom_command(OUTPUT ${generated}
		COMMAND ${CMAKE_COMMAND} -DSQL_DIR=${PROJECT_SOURCE_DIR}/sql -DOUT=${generated}
			-P ${PROJECT_SOURCE_DIR}/cmake/embed_sql.cmake
		DEPENDS ${sql} ${PROJECT_SOURCE_DIR}/cmake/embed_sql.cmake
		COMMENT "Embedding the migrations" VERBATIM)
	target_sources(room_${room} PRIVATE ${generated})
endfunction()
