#pragma once

/// The one place that decides which Asio this library is built on: standalone Asio, or Boost.Asio
/// where SEALINE_ASIO_BOOST is defined (Boost.Beast takes no other). Everything else says
/// `sealine::io::net` and uses only names that Asio 1.22 has.

// First of all: Asio asks what the standard library has before it includes any of it, and must get
// the same answer in every file.
#include <version>

#if defined(SEALINE_ASIO_BOOST)

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

namespace sealine::io {
namespace net = ::boost::asio;
using error_code = ::boost::system::error_code;      // NOLINT(readability-identifier-naming)
using system_error = ::boost::system::system_error;  // NOLINT(readability-identifier-naming)
}  // namespace sealine::io

#else

#include <asio/any_io_executor.hpp>
#include <asio/associated_allocator.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/awaitable.hpp>
#include <asio/bind_executor.hpp>
#include <asio/buffer.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/dispatch.hpp>
#include <asio/error.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/ip/v6_only.hpp>
#include <asio/post.hpp>
#include <asio/read.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/strand.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>

namespace sealine::io {
namespace net = ::asio;
using error_code = ::asio::error_code;      // NOLINT(readability-identifier-naming): Asio's name
using system_error = ::asio::system_error;  // NOLINT(readability-identifier-naming)
}  // namespace sealine::io

#endif

#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"

namespace sealine::io {

/// An error of ours as Asio's callers get it: category "sealine", value of the Errc.
[[nodiscard]] SEALINE_API error_code to_error_code(const Error& error) noexcept;

/// The reverse, for code that wants to describe() what an operation gave. Asio's own codes come out
/// as their nearest Errc (refused, unreachable, lost, cancelled, ...) with errno as detail. An end
/// of data (net::error::eof) is no error of ours: it comes out as truncated, so ask for it before.
[[nodiscard]] SEALINE_API Error to_error(const error_code& code) noexcept;

}  // namespace sealine::io
