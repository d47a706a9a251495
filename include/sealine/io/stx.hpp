#pragma once

/// STX/1 for users: send files and folders, and receive them.
///
///   auto report = co_await io::stx::send_files("desk", 9440, {"photos"}, options);
///   auto report = io::stx::blocking::send_files("desk", 9440, {"photos"}, options);

#include "sealine/io/stx_blocking.hpp"
#include "sealine/io/stx_events.hpp"
#include "sealine/io/stx_ledger.hpp"
#include "sealine/io/stx_options.hpp"
#include "sealine/io/stx_receiver.hpp"
#include "sealine/io/stx_sender.hpp"
