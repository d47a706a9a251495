#include "sealine/base/assert.hpp"
#include "sealine/crypto/constant_time.hpp"
#include "stcp/detail/handshake.hpp"
#include "stcp/detail/hint.hpp"
#include "stcp/detail/noise_glue.hpp"
#include "stcp/detail/settings.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>

namespace sealine::stcp::detail {
namespace {

/// The first secret whose hint this is. All are tried, whichever it is.
std::optional<std::size_t> find_psk(crypto::Engine& engine, const std::vector<ServerPsk>& psks,
                                    const Hint& hint,
                                    FixedView<crypto::kKeyBytes> client_ephemeral) {
  std::optional<std::size_t> found;
  for (std::size_t i = psks.size(); i-- > 0;) {
    const Hint expected = make_hint(engine, psks[i].hint_key.expose(), client_ephemeral);
    if (crypto::ct_equal(expected, hint)) found = i;
  }
  return found;
}

Agreement agree(noise::HandshakeState&& noise, Mode mode, std::uint8_t max_record_log2,
                std::size_t psk_index, const SasNonce& nonce_b, const SasCommitment& commitment,
                crypto::Engine& engine) {
  Agreement agreement;
  agreement.mode = mode;
  agreement.max_record_log2 = max_record_log2;
  agreement.peer_key = noise.remote_static();
  agreement.psk_index = psk_index;
  agreement.nonce_b = nonce_b;
  agreement.commitment = commitment;
  TranscriptHash h{};
  std::ranges::copy(noise.hash(), h.begin());
  const auto keys = std::move(noise).split();
  SEALINE_ASSERT(keys.has_value());
  agreement.keys = make_key_schedule(engine, *keys, h);
  return agreement;
}

}  // namespace

Result<std::variant<ExpectAuth, ExpectFinish>> on_hello(ByteView record,
                                                        HandshakeContext& context) {
  const ServerConfig& config = *context.server;
  const FixedView<kRecordHeadBytes> head = record.first<kRecordHeadBytes>();
  const ByteView message = record.subspan(kRecordHeadBytes);
  SEALINE_TRY(hello, parse_hello_head(head, config.modes));
  SEALINE_ASSERT(message.size() == message_bytes(hello.mode, Step::hello));

  std::size_t psk_index = 0;
  noise::Inputs inputs;
  if (hello.mode == Mode::psk) {
    const auto index =
        find_psk(context.engine, config.psks, hello.hint, message.first<crypto::kKeyBytes>());
    if (!index) return fail(Errc::unknown_hint);
    psk_index = *index;
    context.psk = {&config.psks[psk_index].psk};
    inputs.psks = context.psk;
  } else if (hello.mode != Mode::anonymous) {
    inputs.local_static = config.identity.get();
  }
  std::ranges::copy(head, context.hello_head.begin());
  inputs.prologue = context.hello_head;
  SEALINE_TRY(noise, noise::HandshakeState::create(pattern_of(hello.mode), noise::Role::responder,
                                                   inputs, context.engine, context.rng));

  // -> e            (NNpsk0: -> psk, e)
  ByteArray<kSettingsBytes + sizeof(SasCommitment)> payload{};
  const auto read = noise.read_message(message, payload);
  if (!read) return std::unexpected(step_fault(read.error(), Errc::hello_not_authentic));
  SEALINE_TRY(settings,
              parse_settings(FixedView<kSettingsBytes>(ByteView(payload).first<kSettingsBytes>())));
  SasCommitment commitment{};
  if (has_sas(hello.mode))
    std::ranges::copy(ByteView(payload).subspan(kSettingsBytes), commitment.begin());

  // <- e, ee        (NX, XX: <- e, ee, s, es)
  noise.prepare_ephemeral();
  ByteArray<kSettingsBytes + kSasNonceBytes> answer{};
  std::size_t answer_bytes = kSettingsBytes;
  std::ranges::copy(encode(Settings{config.limits.max_record_log2}), answer.begin());
  SasNonce nonce_b{};
  if (has_sas(hello.mode)) {
    context.rng.fill(nonce_b);
    std::ranges::copy(nonce_b, answer.begin() + kSettingsBytes);
    answer_bytes = answer.size();
  }
  const MutableBytes room = context.outbox.room();
  std::ranges::copy(encode_head(hello.mode, Step::answer), room.begin());
  const auto written =
      noise.write_message(ByteView(answer).first(answer_bytes), room.subspan(kRecordHeadBytes));
  if (!written) return std::unexpected(step_fault(written.error(), Errc::hello_not_authentic));
  SEALINE_ASSERT(*written == message_bytes(hello.mode, Step::answer));
  context.outbox.add(kRecordHeadBytes + *written);

  const std::uint8_t record_log2 =
      std::min(config.limits.max_record_log2, settings.max_record_log2);
  if (hello.mode == Mode::mutual) {
    return ExpectAuth{std::move(noise), nonce_b, commitment, record_log2};
  }
  return ExpectFinish{agree(std::move(noise), hello.mode, record_log2, psk_index, nonce_b,
                            commitment, context.engine)};
}

Result<AuthVerified> on_auth(ExpectAuth&& state, ByteView message, HandshakeContext& context) {
  ExpectAuth here = std::move(state);
  // -> s, se
  const auto read = here.noise.read_message(message, {});
  if (!read) return std::unexpected(step_fault(read.error(), Errc::finish_not_authentic));
  return AuthVerified{agree(std::move(here.noise), Mode::mutual, here.max_record_log2, 0,
                            here.nonce_b, here.commitment, context.engine)};
}

}  // namespace sealine::stcp::detail
