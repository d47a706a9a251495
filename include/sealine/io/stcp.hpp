#pragma once

/// STCP/1 over TCP: io::stcp::Stream and io::stcp::Listener for any Asio completion token, and the
/// same in io::stcp::blocking. For users; the library itself includes the parts.

#include "sealine/io/engine.hpp"
#include "sealine/io/identity.hpp"
#include "sealine/io/known_peers.hpp"
#include "sealine/io/secret_file.hpp"
#include "sealine/io/state_dir.hpp"
#include "sealine/io/stcp_blocking.hpp"
#include "sealine/io/stcp_listener.hpp"
#include "sealine/io/stcp_options.hpp"
#include "sealine/io/stcp_stream.hpp"
#include "sealine/io/trust.hpp"
