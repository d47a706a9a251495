# One target a layer, sealine_<layer> (alias sealine::<layer>), of src/<layer>/ and
# include/sealine/<layer>/*.hpp. The links between them are the arrows of docs/architecture.md;
# an include that goes against an arrow is refused by tools/tidy.

# sealine_add_layer(name LAYERS ... LIBRARIES ... [SUFFIX _x])
#   LAYERS     layers it may include (seen by whoever links it)
#   LIBRARIES  libraries that it alone uses
function(sealine_add_layer name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "SUFFIX" "LAYERS;LIBRARIES")
  set(target sealine_${name}${arg_SUFFIX})
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/${name}/*.cpp"
       "${PROJECT_SOURCE_DIR}/src/${name}/*/*.cpp")
  list(FILTER sources EXCLUDE REGEX "/src/cli/main\\.cpp$")
  file(GLOB headers CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/include/sealine/${name}/*.hpp")
  list(TRANSFORM arg_LAYERS PREPEND sealine_)

  if(sources)
    add_library(${target} STATIC ${sources})
    sealine_flags(${target})
    if(name MATCHES "^(io|cli)$")
      if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 14)
        # It takes the two halves of a coroutine frame's allocation, inlined apart, for strangers.
        target_compile_options(${target} PRIVATE -Wno-mismatched-new-delete)
      endif()
      # Where the headers, Asio's above all, cost more than the sources. What is unnamed in a source
      # is then unnamed in an included file, which g++ minds.
      if(SEALINE_UNITY)
        set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
        target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
      endif()
    endif()
    target_compile_features(${target} PUBLIC cxx_std_23)
    target_compile_definitions(${target} PRIVATE SEALINE_BUILDING)
    target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/src")
    target_link_libraries(${target} PUBLIC ${arg_LAYERS} PRIVATE ${arg_LIBRARIES})
    set(scope PUBLIC)
  else()
    add_library(${target} INTERFACE)
    target_compile_features(${target} INTERFACE cxx_std_23)
    target_link_libraries(${target} INTERFACE ${arg_LAYERS})
    set(scope INTERFACE)
  endif()
  target_include_directories(${target} ${scope} "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>")
  add_library(sealine::${name}${arg_SUFFIX} ALIAS ${target})

  # Each public header must compile alone: build the target verify_headers. The headers of a
  # protocol for users (<sealine/stcp.hpp>) go with the layer of that name.
  if(NOT arg_SUFFIX AND PROJECT_IS_TOP_LEVEL)
    if(EXISTS "${PROJECT_SOURCE_DIR}/include/sealine/${name}.hpp")
      list(APPEND headers "${PROJECT_SOURCE_DIR}/include/sealine/${name}.hpp")
    endif()
    if(headers)
      target_sources(${target} ${scope} FILE_SET HEADERS BASE_DIRS "${PROJECT_SOURCE_DIR}/include" FILES ${headers})
      set_target_properties(${target} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
      set_property(GLOBAL APPEND PROPERTY SEALINE_VERIFIED_LAYERS ${target})
    endif()
  endif()
endfunction()

function(sealine_is_compiled out target)
  get_target_property(type ${target} TYPE)
  if(type STREQUAL "INTERFACE_LIBRARY")
    set(${out} FALSE PARENT_SCOPE)
  else()
    set(${out} TRUE PARENT_SCOPE)
  endif()
endfunction()

set(SEALINE_CORE_LAYERS base crypto wire noise stc stcp scp stx stt websocket)

sealine_add_layer(base)
sealine_add_layer(crypto LAYERS base LIBRARIES OpenSSL::Crypto)
sealine_add_layer(wire LAYERS base LIBRARIES sealine_deps::deflate)
sealine_add_layer(noise LAYERS crypto base)
sealine_add_layer(stc LAYERS crypto wire base)
sealine_add_layer(stcp LAYERS noise wire crypto base)
sealine_add_layer(scp LAYERS noise wire crypto base)
sealine_add_layer(stx LAYERS wire crypto base)
sealine_add_layer(stt LAYERS stc wire crypto base)
sealine_add_layer(websocket LAYERS wire crypto base)

sealine_is_compiled(_compiled sealine_crypto)
if(TARGET sealine_deps::ipsec_mb AND _compiled)
  target_link_libraries(sealine_crypto PRIVATE sealine_deps::ipsec_mb)
  target_compile_definitions(sealine_crypto PRIVATE SEALINE_HAVE_IPSEC_MB=1)
endif()

# Definitions that a user of sealine::io needs as well as its own sources do.
function(sealine_asio_definitions target scope asio)
  if(asio STREQUAL "boost")
    target_compile_definitions(${target} ${scope} SEALINE_ASIO_BOOST=1)
  else()
    # Asio 1.22 knows the coroutines of clang only up to clang 15.
    target_compile_definitions(
      ${target} ${scope} $<$<CXX_COMPILER_ID:Clang,AppleClang>:ASIO_HAS_CO_AWAIT=1>
      $<$<CXX_COMPILER_ID:Clang,AppleClang>:ASIO_HAS_STD_COROUTINE=1>)
  endif()
endfunction()

# The io layer, on one of the two Asios.
function(_sealine_add_io asio)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "SUFFIX" "")
  set(target sealine_io${arg_SUFFIX})
  sealine_add_layer(
    io
    SUFFIX "${arg_SUFFIX}"
    LAYERS ${SEALINE_CORE_LAYERS}
    LIBRARIES sealine_deps::sqlite3 sealine_deps::zstd OpenSSL::SSL)
  sealine_is_compiled(compiled ${target})
  set(scope INTERFACE)
  if(compiled)
    set(scope PUBLIC)
  endif()
  sealine_asio_definitions(${target} ${scope} ${asio})
  target_link_libraries(${target} ${scope} Threads::Threads)
  if(asio STREQUAL "boost")
    target_link_libraries(${target} ${scope} sealine_deps::boost)
    if(compiled AND SEALINE_UNITY)
      target_compile_options(${target} PRIVATE -O0) # that it compiles, and that the example runs
    endif()
  elseif(TARGET sealine_deps::asio)
    target_link_libraries(${target} ${scope} sealine_deps::asio)
  endif()
  if(compiled AND SEALINE_PCH AND EXISTS "${PROJECT_SOURCE_DIR}/include/sealine/io/asio.hpp")
    target_precompile_headers(${target} PRIVATE "${PROJECT_SOURCE_DIR}/include/sealine/io/asio.hpp")
  endif()
endfunction()
_sealine_add_io(${SEALINE_ASIO})
if(TARGET sealine_deps::boost AND NOT SEALINE_ASIO STREQUAL "boost")
  _sealine_add_io(boost SUFFIX _boost)
  sealine_is_compiled(_compiled sealine_io_boost)
  if(_compiled AND NOT SEALINE_BUILD_EXAMPLES)
    set_target_properties(sealine_io_boost PROPERTIES EXCLUDE_FROM_ALL ON)
  endif()
endif()

# What programs within this tree link; the installed targets of the same names are in
# SealineLibraries.cmake.
add_library(sealine_layers_core INTERFACE)
list(TRANSFORM SEALINE_CORE_LAYERS PREPEND sealine_ OUTPUT_VARIABLE _core_targets)
target_link_libraries(sealine_layers_core INTERFACE ${_core_targets})
add_library(sealine_layers_all INTERFACE)
target_link_libraries(sealine_layers_all INTERFACE sealine_layers_core sealine_io)
add_library(sealine::core ALIAS sealine_layers_core)
add_library(sealine::sealine ALIAS sealine_layers_all)

# The archives that tools/tidy looks into.
add_custom_target(cores)
foreach(_target IN LISTS _core_targets)
  sealine_is_compiled(_compiled ${_target})
  if(_compiled)
    add_dependencies(cores ${_target})
  endif()
endforeach()

add_custom_target(programs)
if(SEALINE_BUILD_PROGRAMS OR SEALINE_BUILD_TESTS)
  sealine_add_layer(
    cli
    LAYERS io
    LIBRARIES CLI11::CLI11 fmt::fmt spdlog::spdlog nlohmann_json::nlohmann_json sealine_deps::qrencode)
  if(EXISTS "${PROJECT_SOURCE_DIR}/src/cli/main.cpp")
    add_executable(sealine_program "${PROJECT_SOURCE_DIR}/src/cli/main.cpp")
    sealine_flags(sealine_program)
    set_target_properties(sealine_program PROPERTIES OUTPUT_NAME sealine)
    target_include_directories(sealine_program PRIVATE "${PROJECT_SOURCE_DIR}/src")
    target_link_libraries(
      sealine_program PRIVATE sealine_cli CLI11::CLI11 fmt::fmt spdlog::spdlog nlohmann_json::nlohmann_json)
    add_dependencies(programs sealine_program)
    # The names of the first tools of STX are links: the program looks at its own name.
    foreach(_link IN ITEMS stx-send stx-recv)
      add_custom_command(
        TARGET sealine_program
        POST_BUILD
        COMMAND "${CMAKE_COMMAND}" -E create_symlink sealine "$<TARGET_FILE_DIR:sealine_program>/${_link}"
        VERBATIM)
    endforeach()
  endif()
endif()

if(PROJECT_IS_TOP_LEVEL)
  add_custom_target(verify_headers)
  get_property(_verified GLOBAL PROPERTY SEALINE_VERIFIED_LAYERS)
  foreach(_target IN LISTS _verified)
    add_dependencies(verify_headers ${_target}_verify_interface_header_sets)
  endforeach()
endif()
