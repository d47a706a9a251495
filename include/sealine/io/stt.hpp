#pragma once

/// STT/1 over sockets: endpoints, sessions, streams.

#include "sealine/io/stt_endpoint.hpp"
#include "sealine/io/stt_options.hpp"
#include "sealine/io/stt_session.hpp"
#include "sealine/io/stt_stream.hpp"
