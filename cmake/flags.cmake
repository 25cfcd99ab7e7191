# One set of flags for everything that is ours. Warnings become errors through the
# presets (CMAKE_COMPILE_WARNING_AS_ERROR), so that a newer compiler than ours can still
# build a release with --compile-no-warning-as-error.
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(NOT CMAKE_BUILD_TYPE)
	set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()

add_compile_options(
	-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
	-Wvla -Wpointer-arith -Wwrite-strings -Wundef -Wformat=2 -Wimplicit-fallthrough
	-Wno-missing-field-initializers
	-fno-strict-aliasing -fno-common -fno-omit-frame-pointer)

# Empty rather than 1: a file that says "#define _GNU_SOURCE" itself then agrees with it.
add_compile_definitions(_GNU_SOURCE=)

if(CALLGATE_SANITIZE)
	# What nobody has set is a pattern, never by chance the zero that hides it.
	add_compile_options(-fsanitize=${CALLGATE_SANITIZE} -fno-sanitize-recover=all -ftrivial-auto-var-init=pattern)
	add_link_options(-fsanitize=${CALLGATE_SANITIZE})
	if(CALLGATE_SANITIZE MATCHES "thread" AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
		# Its calls in between make GCC lose sight of what was set; the other builds keep watch.
		add_compile_options(-Wno-maybe-uninitialized)
	endif()
endif()

if(CALLGATE_HARDEN)
	add_compile_options(-fstack-protector-strong -fstack-clash-protection -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
	add_link_options(-Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
	if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
		add_compile_options(-fcf-protection)
	endif()
	include(CheckPIESupported)
	check_pie_supported(LANGUAGES C)
endif()
