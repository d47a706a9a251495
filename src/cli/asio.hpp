#pragma once

// What this program needs of Asio beside the names of <sealine/io/asio.hpp>, of the same Asio.

#include "sealine/io/asio.hpp"

#if defined(SEALINE_ASIO_BOOST)
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#else
#include <asio/generic/stream_protocol.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/signal_set.hpp>
#endif

namespace sealine::cli {
namespace net = ::sealine::io::net;
using io::error_code;
}  // namespace sealine::cli
