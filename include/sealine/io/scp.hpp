#pragma once

/// SCP/1 over TCP: messages with receipts. io::scp::connect, Channel and Server for coroutines, the
/// same in io::scp::blocking. For users; the library itself includes the parts.

#include "sealine/io/engine.hpp"
#include "sealine/io/identity.hpp"
#include "sealine/io/known_peers.hpp"
#include "sealine/io/scp_blocking.hpp"
#include "sealine/io/scp_channel.hpp"
#include "sealine/io/scp_message.hpp"
#include "sealine/io/scp_options.hpp"
#include "sealine/io/scp_server.hpp"
#include "sealine/io/secret_file.hpp"
#include "sealine/io/state_dir.hpp"
#include "sealine/io/trust.hpp"

/// What a program holds: the same names, one namespace shorter.
namespace sealine::scp {

using io::scp::as_result;
using io::scp::Channel;
using io::scp::ClientOptions;
using io::scp::connect;
using io::scp::KeyPair;
using io::scp::Message;
using io::scp::Server;
using io::scp::ServerOptions;
using io::scp::Task;

namespace blocking = io::scp::blocking;

}  // namespace sealine::scp
