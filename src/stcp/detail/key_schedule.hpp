#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/secret.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/noise/handshake_state.hpp"
#include "stcp/detail/record_ratchet.hpp"

namespace sealine::stcp::detail {

using ExporterKey = Secret<32, struct ExporterKeyTag>;
using TranscriptHash = ByteArray<crypto::kHashBytes>;

/// All that the handshake leaves behind.                                    spec:
/// stcp.md#key-schedule
struct KeySchedule {
  ChainKey client_to_server;
  ChainKey server_to_client;
  ExporterKey exporter;
  TranscriptHash h{};
};

[[nodiscard]] KeySchedule make_key_schedule(crypto::Engine& engine, const noise::SplitKeys& keys,
                                            FixedView<crypto::kHashBytes> h);

}  // namespace sealine::stcp::detail
