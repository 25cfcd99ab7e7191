# cmake -DSQL_DIR=… -DOUT=… -P embed_sql.cmake
#
# Writes the migrations as one C file (src/store/migrations.h tells its shape). CMake does
# it itself, so a build needs neither xxd nor Python.
file(GLOB files ${SQL_DIR}/*.sql)
list(SORT files COMPARE NATURAL)

set(rows "")
set(count 0)
set(last 0)
foreach(file IN LISTS files)
	get_filename_component(name ${file} NAME_WE)
	if(NOT name MATCHES "^0*([1-9][0-9]*)_([a-z0-9_]+)$")
		message(FATAL_ERROR "${file}: a migration is named NNN_name.sql")
	endif()
	set(version ${CMAKE_MATCH_1})
	set(title ${CMAKE_MATCH_2})
	math(EXPR expected "${last} + 1")
	if(NOT version EQUAL expected)
		message(FATAL_ERROR "${file}: migrations are numbered without gaps; ${expected} was expected")
	endif()
	set(last ${version})

	file(READ ${file} text)
	string(REPLACE "\\" "\\\\" text "${text}")
	string(REPLACE "\"" "\\\"" text "${text}")
	string(REPLACE "??" "?\\?" text "${text}")      # never a trigraph
	string(REPLACE "\r" "" text "${text}")
	string(REPLACE "\n" "\\n\"\n\t  \"" text "${text}")
	string(APPEND rows "\t{ ${version}, \"${title}\",\n\t  \"${text}\" },\n")
	math(EXPR count "${count} + 1")
endforeach()

if(count EQUAL 0)
	set(rows "\t{ 0, 0, 0 },\n")    # an empty array is not C
endif()
file(WRITE ${OUT} "/* Made from sql/ by cmake/embed_sql.cmake. */
#include \"migrations.h\"

const struct migration migrations[] = {
${rows}};
const size_t migration_count = ${count};
")
