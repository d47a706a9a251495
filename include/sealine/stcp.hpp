#pragma once

/// STCP/1, the encrypted byte stream, without sockets. With them: <sealine/io/stcp.hpp>.

#include "sealine/stcp/config.hpp"
#include "sealine/stcp/connection.hpp"
#include "sealine/stcp/legacy.hpp"
#include "sealine/stcp/limits.hpp"
#include "sealine/stcp/mode.hpp"
#include "sealine/stcp/padding.hpp"
