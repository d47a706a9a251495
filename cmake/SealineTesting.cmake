# Helpers of tests/, fuzz/ and examples/.
if(SEALINE_BUILD_TESTS)
  find_package(GTest QUIET)
  _sealine_require(GTest::gtest "libgtest-dev and libgmock-dev")
  find_package(rapidcheck QUIET)
endif()

add_custom_target(unit_tests)
add_custom_target(simulations)

set(SEALINE_TEST_ENVIRONMENT
    "SEALINE_BIN=${PROJECT_BINARY_DIR}/bin" "SEALINE_SOURCE_DIR=${PROJECT_SOURCE_DIR}"
    "SEALINE_VECTORS=${SEALINE_VECTORS_DIR}"
    # Reports go to standard error with names; a leak in a program that a test drives is a failure too.
    "ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1:abort_on_error=1"
    "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1" "TSAN_OPTIONS=halt_on_error=1")

# sealine_include_layers(out file...): the layers whose headers these files include. A test of one
# layer so waits for that layer alone, and a broken one elsewhere does not stop it.
function(sealine_include_layers out)
  set(found "")
  foreach(file IN LISTS ARGN)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
    file(STRINGS "${file}" lines REGEX "^[ \t]*#[ \t]*include[ \t]+[<\"](sealine/)?[a-z_]+[/.]")
    foreach(line IN LISTS lines)
      if(line MATCHES "[<\"]sealine/([a-z_]+)[/.]")
        list(APPEND found ${CMAKE_MATCH_1})
      elseif(line MATCHES "\"([a-z_]+)/")
        list(APPEND found ${CMAKE_MATCH_1}) # "crypto/detail/thing.hpp": a look inside
      endif()
    endforeach()
  endforeach()
  list(REMOVE_DUPLICATES found)
  set(layers "")
  foreach(name IN LISTS found)
    if(TARGET sealine_${name} AND (name IN_LIST SEALINE_CORE_LAYERS OR name MATCHES "^(io|cli)$"))
      list(APPEND layers sealine_${name})
    endif()
  endforeach()
  set(${out} ${layers} PARENT_SCOPE)
endfunction()

# What every program under test gets: our flags, the test support, the places as definitions.
function(sealine_test_program target)
  sealine_flags(${target})
  target_compile_definitions(
    ${target} PRIVATE SEALINE_SOURCE_DIR="${PROJECT_SOURCE_DIR}" SEALINE_VECTORS_DIR="${SEALINE_VECTORS_DIR}")
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/tests"
                                               "${PROJECT_SOURCE_DIR}")
endfunction()

# sealine_test_properties(name label timeout): 0 seconds leave the limit to whoever calls ctest.
function(sealine_test_properties name label timeout)
  if(timeout)
    set_tests_properties(${name} PROPERTIES TIMEOUT ${timeout})
  endif()
  set_tests_properties(
    ${name}
    PROPERTIES LABELS ${label}
               SKIP_RETURN_CODE 77
               WORKING_DIRECTORY "${PROJECT_BINARY_DIR}"
               ENVIRONMENT "${SEALINE_TEST_ENVIRONMENT}")
endfunction()

# sealine_add_scripts(label timeout pattern...): each script is a ctest entry <label>_<name>.
# A Python script takes -v and prints its cases as unittest does; exit code 77 means skipped.
function(sealine_add_scripts label timeout)
  file(GLOB scripts CONFIGURE_DEPENDS ${ARGN})
  foreach(script IN LISTS scripts)
    get_filename_component(name "${script}" NAME_WE)
    string(REGEX REPLACE "^(test_|${label}_)|_test$" "" name "${name}")
    if(script MATCHES "\\.py$")
      add_test(NAME ${label}_${name} COMMAND /usr/bin/python3 -B "${script}" -v)
    else()
      add_test(NAME ${label}_${name} COMMAND bash "${script}")
    endif()
    sealine_test_properties(${label}_${name} ${label} ${timeout})
  endforeach()
endfunction()
