# Flags for our own targets: sealine_flags(target). Nothing here reaches a user of the library.
include(CheckCXXCompilerFlag)
include(CheckLinkerFlag)
include(CheckPIESupported)
check_pie_supported(LANGUAGES CXX)

add_library(sealine_private_flags INTERFACE)

function(_sealine_flag flag)
  string(MAKE_C_IDENTIFIER "SEALINE_HAS${flag}" name)
  set(CMAKE_REQUIRED_FLAGS -Werror)
  check_cxx_compiler_flag("${flag}" ${name})
  if(${name})
    target_compile_options(sealine_private_flags INTERFACE "${flag}")
  endif()
endfunction()

function(_sealine_link_flag flag)
  string(MAKE_C_IDENTIFIER "SEALINE_LINK_HAS${flag}" name)
  check_linker_flag(CXX "${flag}" ${name})
  if(${name})
    target_link_options(sealine_private_flags INTERFACE "${flag}")
  endif()
endfunction()

target_compile_options(sealine_private_flags INTERFACE -Wall -Wextra -Wconversion -Wshadow -Wswitch-enum)
if(SEALINE_DEVELOPER)
  target_compile_options(sealine_private_flags INTERFACE -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 14)
  # These see errors in std::vector and std::string where there are none, after inlining; clang's own
  # and the sanitizers look at the same code.
  target_compile_options(
    sealine_private_flags INTERFACE -Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread -Wno-restrict
                                    -Wno-maybe-uninitialized -Wno-dangling-pointer)
endif()

if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  # -Wconversion of clang minds assert(!"what should not be"), which is how that is written.
  target_compile_options(sealine_private_flags INTERFACE -Wno-string-conversion)
endif()

if(SEALINE_HARDENING)
  target_compile_definitions(sealine_private_flags INTERFACE _GLIBCXX_ASSERTIONS)
  _sealine_flag(-fstack-protector-strong)
  _sealine_flag(-fstack-clash-protection)
  _sealine_flag(-fcf-protection)
  _sealine_flag(-ftrivial-auto-var-init=zero)
  if(NOT SEALINE_SANITIZE AND NOT SEALINE_FUZZ)
    # Glibc's checked functions need optimisation, and get in the way of AddressSanitizer's own.
    target_compile_options(sealine_private_flags INTERFACE $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE$<SEMICOLON>-D_FORTIFY_SOURCE=2>)
  endif()
  _sealine_link_flag(LINKER:-z,relro)
  _sealine_link_flag(LINKER:-z,now)
  _sealine_link_flag(LINKER:-z,noexecstack)
endif()

if(SEALINE_SANITIZE)
  target_compile_options(
    sealine_private_flags INTERFACE -fsanitize=${SEALINE_SANITIZE} -fno-omit-frame-pointer
                                    -fno-sanitize-recover=all)
  target_link_options(sealine_private_flags INTERFACE -fsanitize=${SEALINE_SANITIZE})
endif()
if(SEALINE_COVERAGE)
  target_compile_options(sealine_private_flags INTERFACE -fprofile-instr-generate -fcoverage-mapping)
  target_link_options(sealine_private_flags INTERFACE -fprofile-instr-generate)
endif()

function(sealine_flags target)
  set_target_properties(
    ${target}
    PROPERTIES CXX_STANDARD 23
               CXX_STANDARD_REQUIRED ON
               CXX_EXTENSIONS OFF
               POSITION_INDEPENDENT_CODE ON
               CXX_VISIBILITY_PRESET hidden
               VISIBILITY_INLINES_HIDDEN ON)
  target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:sealine_private_flags>)
endfunction()
