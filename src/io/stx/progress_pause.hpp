// How often on_progress is called while bytes flow.
#pragma once

#include <chrono>

namespace sealine::io::stx {

inline constexpr std::chrono::milliseconds kProgressPause{250};

}  // namespace sealine::io::stx
