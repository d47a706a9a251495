#pragma once

/// STX/1 without sockets and files: frames, messages, the handshake and the two machines. The
/// driver is <sealine/io/stx.hpp>.
#include "sealine/stx/code.hpp"
#include "sealine/stx/frame.hpp"
#include "sealine/stx/handshake.hpp"
#include "sealine/stx/limits.hpp"
#include "sealine/stx/message.hpp"
#include "sealine/stx/receiver.hpp"
#include "sealine/stx/sender.hpp"
#include "sealine/stx/tree.hpp"
