# The page of `sealine web`: js/stt-client and web/, compiled by TypeScript and embedded as what
# src/cli/web_assets.hpp declares. It needs Node.js 20 with npm, and once the registry, for the
# compiler that js/stt-client/package-lock.json names. Where one of them is not to be had the table
# is empty, `sealine web` says so, and all else builds as usual.

if(NOT TARGET sealine_cli)
  return()
endif()

set(_web_build "${PROJECT_BINARY_DIR}/web")
set(_web_cpp "${_web_build}/web_assets.cpp")

# sealine_web_tools(out): fetches the compiler into the build folder; what is missing, or nothing.
function(sealine_web_tools out)
  set(${out} "" PARENT_SCOPE)
  find_program(SEALINE_NODE node)
  find_program(SEALINE_NPM npm)
  mark_as_advanced(SEALINE_NODE SEALINE_NPM)
  if(NOT SEALINE_NODE OR NOT SEALINE_NPM)
    set(${out} "Node.js 20 and npm are not installed" PARENT_SCOPE)
    return()
  endif()
  execute_process(COMMAND "${SEALINE_NODE}" --version OUTPUT_VARIABLE version OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(NOT version MATCHES "^v([0-9]+)\\." OR CMAKE_MATCH_1 LESS 20)
    set(${out} "Node.js is ${version}, 20 is needed" PARENT_SCOPE)
    return()
  endif()
  # Only what the lockfile names, and anew when it changes.
  set(stamp "${_web_build}/node_modules/.sealine")
  file(SHA256 "${PROJECT_SOURCE_DIR}/js/stt-client/package-lock.json" lock)
  if(EXISTS "${stamp}")
    file(READ "${stamp}" installed)
    if(installed STREQUAL lock)
      return()
    endif()
  endif()
  file(MAKE_DIRECTORY "${_web_build}")
  foreach(name IN ITEMS package.json package-lock.json)
    configure_file("${PROJECT_SOURCE_DIR}/js/stt-client/${name}" "${_web_build}/${name}" COPYONLY)
  endforeach()
  message(STATUS "Fetching the compiler of the browser client")
  execute_process(
    COMMAND "${SEALINE_NPM}" ci --ignore-scripts --no-audit --no-fund --prefer-offline --fetch-retries=1
            --fetch-timeout=20000
    WORKING_DIRECTORY "${_web_build}"
    RESULT_VARIABLE failed
    OUTPUT_QUIET ERROR_QUIET
    TIMEOUT 120)
  if(failed)
    set(${out} "npm could not fetch the TypeScript compiler" PARENT_SCOPE)
    return()
  endif()
  file(WRITE "${stamp}" "${lock}")
endfunction()

set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS js/stt-client/package-lock.json)
sealine_web_tools(_web_missing)
if(_web_missing)
  message(STATUS "No page for sealine web: ${_web_missing}")
  file(CONFIGURE OUTPUT "${_web_cpp}" @ONLY CONTENT [[
#include "cli/web_assets.hpp"

namespace sealine::cli {

std::span<const WebAsset> web_assets() { return {}; }

}  // namespace sealine::cli
]])
else()
  file(GLOB _web_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/web/*" "${PROJECT_SOURCE_DIR}/js/stt-client/src/*.ts")
  add_custom_command(
    OUTPUT "${_web_cpp}"
    COMMAND "${SEALINE_NODE}" "${PROJECT_SOURCE_DIR}/cmake/embed_web.mjs" "${PROJECT_SOURCE_DIR}" "${_web_build}"
            "${_web_cpp}"
    DEPENDS ${_web_sources} "${PROJECT_SOURCE_DIR}/cmake/embed_web.mjs"
            "${PROJECT_SOURCE_DIR}/js/stt-client/tsconfig.json" "${PROJECT_SOURCE_DIR}/js/stt-client/package-lock.json"
    COMMENT "Compiling the page of sealine web"
    VERBATIM)
endif()
target_sources(sealine_cli PRIVATE "${_web_cpp}")
