#pragma once

#include "cli/web_assets.hpp"
#include "sealine/io/stt_endpoint.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sealine::cli {

/// Answers requests for the page that is embedded in the program.
///
/// Only under names that are this listener's own: a name that some other site has pointed at this
/// machine gets nothing. Nothing that is served holds a secret, and nothing may be loaded from
/// elsewhere by it.
class WebPage final {
 public:
  /// `hosts` are HOST:PORT as a browser sends them; empty: any, for a listener off loopback.
  WebPage(std::span<const WebAsset> assets, std::vector<std::string> hosts)
      : assets_(assets), hosts_(std::move(hosts)) {}

  [[nodiscard]] io::stt::PlainAnswer answer(const websocket::Request& request) const;

 private:
  [[nodiscard]] const WebAsset* find(std::string_view target) const;

  std::span<const WebAsset> assets_;
  std::vector<std::string> hosts_;
};

/// 127.0.0.1:PORT, localhost:PORT and [::1]:PORT.
[[nodiscard]] std::vector<std::string> loopback_hosts(std::uint16_t port);

}  // namespace sealine::cli
