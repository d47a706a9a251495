#pragma once

#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/io/stx_events.hpp"
#include "sealine/io/stx_options.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string_view>
#include <vector>

/// The same jobs for a program that does one thing at a time: no executor, no token, a Result.
namespace sealine::io::stx::blocking {

/// As stx::send_files; callbacks run inside of the call. `options.stop` ends it from elsewhere.
[[nodiscard]] SEALINE_API Result<SendReport> send_files(std::string_view host, std::uint16_t port,
                                                        std::vector<std::filesystem::path> paths,
                                                        SendOptions options = {});

/// As stx::receive_files. Without `options.once` it ends by `options.stop` alone.
[[nodiscard]] SEALINE_API Result<ReceiveReport> receive_files(
    std::string_view host, std::uint16_t port, ReceiveOptions options,
    std::function<void(const std::vector<net::ip::tcp::endpoint>&)> on_listening = {});

}  // namespace sealine::io::stx::blocking
