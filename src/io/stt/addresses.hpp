#pragma once

#include "sealine/base/time.hpp"
#include "sealine/io/asio.hpp"

#include <chrono>
#include <cstdint>
#include <vector>

namespace sealine::io::stt {

/// Address and port in a fixed form: what a responder knows a client by.
template <class Endpoint>
std::vector<std::uint8_t> address_bytes(const Endpoint& endpoint) {
  std::vector<std::uint8_t> out;
  const auto add = [&out](const auto& bytes) { out.assign(bytes.begin(), bytes.end()); };
  const net::ip::address address = endpoint.address();
  if (address.is_v4()) {
    add(address.to_v4().to_bytes());
  } else {
    add(address.to_v6().to_bytes());
  }
  out.push_back(static_cast<std::uint8_t>(endpoint.port() >> 8U));
  out.push_back(static_cast<std::uint8_t>(endpoint.port() & 0xFFU));
  return out;
}

/// The wall clock, for the timestamp of HELLO.
inline UnixMillis unix_millis() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<UnixMillis>(
      std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

}  // namespace sealine::io::stt
