# The page of `sealine web` as a C++ source: what src/cli/web_assets.hpp declares.
#
# Where there is no Node.js the table is empty; everything else builds as usual.

if(NOT TARGET sealine_cli)
  return()
endif()

set(_web_cpp "${PROJECT_BINARY_DIR}/web/web_assets.cpp")
file(CONFIGURE OUTPUT "${_web_cpp}" @ONLY CONTENT [[
#include "cli/web_assets.hpp"

namespace sealine::cli {

std::span<const WebAsset> web_assets() { return {}; }

}  // namespace sealine::cli
]])
target_sources(sealine_cli PRIVATE "${_web_cpp}")
