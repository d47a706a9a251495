#pragma once

#include <span>
#include <string_view>

namespace sealine::cli {

/// One file of the page that `sealine web` serves, embedded in the binary.
///
/// The views are good for the life of the program.
struct WebAsset {
  std::string_view path;          ///< as in the request line: "/" for the page itself, "/app.js"
  std::string_view content_type;  ///< ready for the header, charset included
  std::string_view body;
  std::string_view etag;  ///< an entity tag with its quotes: SHA-256 of the body, shortened
};

/// All files of the page, sorted by path. Empty where the program was built without Node.js:
/// there is no page then, and `sealine web` says so. Defined by cmake/SealineWeb.cmake.
[[nodiscard]] std::span<const WebAsset> web_assets();

}  // namespace sealine::cli
