# The libraries as they are shipped, made of the layers' objects (nothing is compiled twice):
#   libsealine     all layers below io      sealine::core   component core
#   libsealine-io  io                       sealine::io     component io
# and sealine::sealine for both. Shared with SEALINE_BUILD_SHARED, static always.
include(CMakePackageConfigHelpers)

function(_sealine_objects out)
  set(objects "")
  foreach(layer IN LISTS ARGN)
    sealine_is_compiled(compiled sealine_${layer})
    if(compiled)
      list(APPEND objects $<TARGET_OBJECTS:sealine_${layer}>)
    endif()
  endforeach()
  set(${out} ${objects} PARENT_SCOPE)
endfunction()

set(_targets_shared "")
set(_targets_static "")

# _sealine_add_library(name kind output export objects)
function(_sealine_add_library target kind output export)
  add_library(${target} ${kind} ${ARGN})
  sealine_flags(${target})
  set_target_properties(
    ${target}
    PROPERTIES OUTPUT_NAME ${output}
               EXPORT_NAME ${export}
               LINKER_LANGUAGE CXX)
  target_compile_features(${target} INTERFACE cxx_std_23)
  target_include_directories(${target} INTERFACE "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
  if(kind STREQUAL "SHARED")
    set(script "${PROJECT_SOURCE_DIR}/cmake/${output}.map")
    set_target_properties(
      ${target}
      PROPERTIES VERSION ${PROJECT_VERSION}
                 SOVERSION ${PROJECT_VERSION_MAJOR}
                 LINK_DEPENDS "${script}")
    target_link_options(${target} PRIVATE "LINKER:--version-script=${script}" LINKER:-z,defs LINKER:--as-needed)
  else()
    target_compile_definitions(${target} INTERFACE SEALINE_STATIC)
  endif()
endfunction()

function(_sealine_core_dependencies target)
  target_link_libraries(${target} PRIVATE OpenSSL::Crypto sealine_deps::deflate)
  if(TARGET sealine_deps::ipsec_mb)
    target_link_libraries(${target} PRIVATE sealine_deps::ipsec_mb)
  endif()
endfunction()

function(_sealine_io_usage target core)
  target_link_libraries(
    ${target}
    PUBLIC ${core} Threads::Threads
    PRIVATE sealine_deps::sqlite3 sealine_deps::zstd OpenSSL::SSL)
  sealine_asio_definitions(${target} INTERFACE ${SEALINE_ASIO})
endfunction()

_sealine_objects(_core ${SEALINE_CORE_LAYERS})
_sealine_objects(_io io)
if(NOT _core)
  return()
endif()

_sealine_add_library(sealine_static STATIC sealine core_static ${_core})
_sealine_core_dependencies(sealine_static)
list(APPEND _targets_static sealine_static)
if(_io)
  _sealine_add_library(sealine_io_static STATIC sealine-io io_static ${_io})
  _sealine_io_usage(sealine_io_static sealine_static)
  list(APPEND _targets_static sealine_io_static)
endif()
if(SEALINE_BUILD_SHARED)
  _sealine_add_library(sealine_shared SHARED sealine core ${_core})
  _sealine_core_dependencies(sealine_shared)
  list(APPEND _targets_shared sealine_shared)
  if(_io)
    _sealine_add_library(sealine_io_shared SHARED sealine-io io ${_io})
    _sealine_io_usage(sealine_io_shared sealine_shared)
    list(APPEND _targets_shared sealine_io_shared)
  endif()
endif()

# In a developer's preset they are made on demand: to test the package needs no second compilation.
add_custom_target(package_libraries)
add_dependencies(package_libraries ${_targets_static} ${_targets_shared})
if(SEALINE_BUILD_TESTS)
  set_target_properties(${_targets_static} ${_targets_shared} PROPERTIES EXCLUDE_FROM_ALL ON)
endif()

if(NOT SEALINE_INSTALL)
  return()
endif()

set(_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/sealine")
install(TARGETS ${_targets_static} EXPORT sealine-static ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(EXPORT sealine-static NAMESPACE sealine:: FILE sealine-static-targets.cmake DESTINATION "${_package_dir}")
if(_targets_shared)
  install(TARGETS ${_targets_shared} EXPORT sealine-shared LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
  install(EXPORT sealine-shared NAMESPACE sealine:: FILE sealine-shared-targets.cmake DESTINATION "${_package_dir}")
endif()
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/sealine" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING
        PATTERN "*.hpp")

configure_package_config_file(cmake/sealineConfig.cmake.in "${PROJECT_BINARY_DIR}/sealineConfig.cmake"
                              INSTALL_DESTINATION "${_package_dir}" NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/sealineConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/sealineConfig.cmake" "${PROJECT_BINARY_DIR}/sealineConfigVersion.cmake"
              cmake/SealineDependencies.cmake DESTINATION "${_package_dir}")

# pkg-config, relocatable as well.
file(RELATIVE_PATH _up "/p/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/p")
string(REGEX REPLACE "/$" "" SEALINE_PC_UP "${_up}")
set(SEALINE_PC_PRIVATE "")
if(TARGET sealine_deps::ipsec_mb)
  set(SEALINE_PC_PRIVATE "-lIPSec_MB")
endif()
set(SEALINE_PC_IO_CFLAGS "-pthread")
if(SEALINE_ASIO STREQUAL "boost")
  string(APPEND SEALINE_PC_IO_CFLAGS " -DSEALINE_ASIO_BOOST=1")
elseif(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  string(APPEND SEALINE_PC_IO_CFLAGS " -DASIO_HAS_CO_AWAIT=1 -DASIO_HAS_STD_COROUTINE=1")
endif()
configure_file(cmake/sealine-core.pc.in "${PROJECT_BINARY_DIR}/sealine-core.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/sealine-core.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
if(_io)
  configure_file(cmake/sealine.pc.in "${PROJECT_BINARY_DIR}/sealine.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/sealine.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
endif()

if(TARGET sealine_program)
  install(TARGETS sealine_program RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
  foreach(_link IN ITEMS stx-send stx-recv)
    install(FILES "$<TARGET_FILE_DIR:sealine_program>/${_link}" DESTINATION "${CMAKE_INSTALL_BINDIR}")
  endforeach()
endif()
foreach(_section IN ITEMS 1 5 7)
  file(GLOB _pages CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/docs/man/*.${_section}")
  if(_pages)
    install(FILES ${_pages} DESTINATION "${CMAKE_INSTALL_MANDIR}/man${_section}")
  endif()
endforeach()

# completions/sealine.bash, sealine.fish, _sealine (zsh), each under the name that its shell looks for.
set(_completions "${PROJECT_SOURCE_DIR}/completions")
if(EXISTS "${_completions}/sealine.bash")
  install(FILES "${_completions}/sealine.bash" RENAME sealine
          DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions")
endif()
if(EXISTS "${_completions}/sealine.fish")
  install(FILES "${_completions}/sealine.fish" DESTINATION "${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d")
endif()
foreach(_name IN ITEMS _sealine sealine.zsh)
  if(EXISTS "${_completions}/${_name}")
    install(FILES "${_completions}/${_name}" RENAME _sealine
            DESTINATION "${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions")
  endif()
endforeach()
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
