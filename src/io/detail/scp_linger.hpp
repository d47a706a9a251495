#pragma once

#include "sealine/io/asio.hpp"

namespace sealine::io::scp {

/// Ends a connection without a reset: our direction first, then what still comes is read and thrown
/// away until its end, within kDrainTime and kDrainBytes. So what was written last arrives, and
/// faults do not differ by how the connection ends.
void linger(net::ip::tcp::socket socket);

}  // namespace sealine::io::scp
