#pragma once

/// SCP/1, the message channel, without sockets. With them: <sealine/io/scp.hpp>.

#include "sealine/scp/channel.hpp"
#include "sealine/scp/code.hpp"
#include "sealine/scp/config.hpp"
#include "sealine/scp/handshake.hpp"
#include "sealine/scp/limits.hpp"
