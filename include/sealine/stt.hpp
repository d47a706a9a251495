#pragma once

/// STT/1, many streams in one session, without sockets. With them: <sealine/io/stt.hpp>.

#include "sealine/stc/stc.hpp"
#include "sealine/stt/control.hpp"
#include "sealine/stt/frame.hpp"
#include "sealine/stt/handshake.hpp"
#include "sealine/stt/keys.hpp"
#include "sealine/stt/limits.hpp"
#include "sealine/stt/session.hpp"
