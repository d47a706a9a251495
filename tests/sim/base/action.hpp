#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace sealine::sim {

// Of one path of an explorer.
constexpr std::size_t kInFlight = 4;  ///< messages on their way at most
constexpr unsigned kTamperings = 2;

/// What happens between two ends, and at which of them: to it, where it is about a message, or by
/// it. `What` counts its values by count_; all of it in one byte is the code of an Explorer.
template <class What>
struct Action {
  What what;
  bool at_client;

  static constexpr std::size_t kCodes = static_cast<std::size_t>(What::count_) * 2;

  static Action from(std::uint8_t code) { return {static_cast<What>(code / 2), code % 2 == 1}; }

  [[nodiscard]] std::string name(const char* const (&names)[static_cast<std::size_t>(What::count_)],
                                 const char* client = "client",
                                 const char* server = "server") const {
    return std::string(at_client ? client : server) + "/" + names[static_cast<std::size_t>(what)];
  }
};

}  // namespace sealine::sim
