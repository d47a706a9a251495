#pragma once

// The part of Asio that datagrams need; see sealine/io/asio.hpp.
#include "sealine/io/asio.hpp"

#if defined(SEALINE_ASIO_BOOST)
#include <boost/asio/ip/udp.hpp>
#else
#include <asio/ip/udp.hpp>
#endif
