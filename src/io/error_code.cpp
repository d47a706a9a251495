#include "sealine/base/errc.hpp"
#include "sealine/base/error.hpp"
#include "sealine/io/asio.hpp"

#include <cerrno>

namespace sealine::io {

error_code to_error_code(const Error& error) noexcept { return make_error_code(error); }

Error to_error(const error_code& code) noexcept {
  const std::error_code standard = code;
  if (standard.category() == error_category()) return {static_cast<Errc>(standard.value()), 0};
  if (code == net::error::eof) return {Errc::truncated, 0};
  if (code == net::error::operation_aborted) return {Errc::cancelled, 0};
  const auto detail = static_cast<std::uint32_t>(standard.value());
  if (code == net::error::host_not_found || code == net::error::host_not_found_try_again ||
      code == net::error::no_data || code == net::error::no_recovery ||
      code == net::error::service_not_found) {
    return {Errc::name_not_found, detail};
  }
  if (code == net::error::connection_refused) return {Errc::connection_refused, detail};
  if (code == net::error::timed_out) return {Errc::connect_timeout, detail};
  if (code == net::error::host_unreachable || code == net::error::network_unreachable ||
      code == net::error::network_down) {
    return {Errc::unreachable, detail};
  }
  if (code == net::error::connection_reset || code == net::error::broken_pipe ||
      code == net::error::connection_aborted || code == net::error::not_connected) {
    return {Errc::connection_lost, detail};
  }
  return {Errc::system_error, detail};
}

}  // namespace sealine::io
