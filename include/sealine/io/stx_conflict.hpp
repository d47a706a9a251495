#pragma once

#include <cstdint>

namespace sealine::io::stx {

/// What becomes of an entry whose place is held by something else (--on-conflict). The same content
/// there is no conflict under any of them.
enum class OnConflict : std::uint8_t {
  fail,       ///< the old one stays, the entry is refused (code 11)
  rename,     ///< the new one gets the next free name: `a.txt` becomes `a (1).txt`
  overwrite,  ///< the new one takes its place, unless a folder stands there
  newer,      ///< overwrite where the new mtime is later, else fail
};

}  // namespace sealine::io::stx
