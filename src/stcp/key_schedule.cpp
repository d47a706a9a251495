#include "stcp/detail/key_schedule.hpp"

#include "sealine/crypto/kdf.hpp"

#include <algorithm>
#include <array>

namespace sealine::stcp::detail {

KeySchedule make_key_schedule(crypto::Engine& engine, const noise::SplitKeys& keys,
                              FixedView<crypto::kHashBytes> h) {
  KeySchedule schedule;
  std::ranges::copy(h, schedule.h.begin());
  schedule.client_to_server =
      crypto::derive<ChainKey>(engine, keys.initiator_to_responder.expose(), "stcp1 ck", h);
  schedule.server_to_client =
      crypto::derive<ChainKey>(engine, keys.responder_to_initiator.expose(), "stcp1 ck", h);

  const std::array<ByteView, 2> ikm = {keys.initiator_to_responder.expose(),
                                       keys.responder_to_initiator.expose()};
  Secret<32, struct ExtractedTag> extracted;
  crypto::hkdf_extract(engine, h, ikm, extracted.writable());
  schedule.exporter = crypto::derive<ExporterKey>(engine, extracted.expose(), "stcp1 exp");
  return schedule;
}

}  // namespace sealine::stcp::detail
