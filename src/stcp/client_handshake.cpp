#include "sealine/base/assert.hpp"
#include "sealine/crypto/kdf.hpp"
#include "stcp/detail/handshake.hpp"
#include "stcp/detail/hint.hpp"
#include "stcp/detail/noise_glue.hpp"
#include "stcp/detail/settings.hpp"

#include <algorithm>
#include <utility>

namespace sealine::stcp::detail {

Result<ExpectAnswer> start_client(HandshakeContext& context) {
  const ClientConfig& config = *context.client;
  const bool keys_missing = (config.mode == Mode::mutual && !config.identity) ||
                            (config.mode == Mode::psk && !config.psk) ||
                            message_bytes(config.mode, Step::hello) == 0;
  if (keys_missing) return fail(Errc::bad_configuration);

  noise::Inputs inputs;
  Hint hint{};
  std::optional<crypto::KeyPair> ephemeral;
  if (config.mode == Mode::mutual) inputs.local_static = config.identity.get();
  if (config.mode == Mode::psk) {
    context.psk = {config.psk.get()};
    inputs.psks = context.psk;
    // The hint hangs on the ephemeral key, and the prologue on the hint: the key comes first.
    ephemeral = crypto::KeyPair::generate(context.engine, context.rng);
    const auto hint_key = crypto::derive<Secret<32, struct HintKeyTag>>(
        context.engine, config.psk->expose(), "stcp1 hint");
    hint = make_hint(context.engine, hint_key.expose(), ephemeral->public_key.view());
  }
  context.hello_head = encode_head(config.mode, Step::hello, hint);
  inputs.prologue = context.hello_head;

  SEALINE_TRY(noise, noise::HandshakeState::create(pattern_of(config.mode), noise::Role::initiator,
                                                   inputs, context.engine, context.rng));
  if (ephemeral) {
    noise.use_ephemeral(*std::move(ephemeral));
  } else {
    noise.prepare_ephemeral();
  }

  ByteArray<kSettingsBytes + sizeof(SasCommitment)> payload{};
  std::size_t payload_bytes = kSettingsBytes;
  std::ranges::copy(encode(Settings{config.limits.max_record_log2}), payload.begin());
  SasNonce nonce_a{};
  if (has_sas(config.mode)) {
    context.rng.fill(nonce_a);
    const auto client_key =
        config.mode == Mode::mutual ? std::optional(config.identity->public_key) : std::nullopt;
    std::ranges::copy(commit(context.engine, nonce_a, client_key),
                      payload.begin() + kSettingsBytes);
    payload_bytes = payload.size();
  }

  // -> e            (NNpsk0: -> psk, e)
  const MutableBytes room = context.outbox.room();
  std::ranges::copy(context.hello_head, room.begin());
  SEALINE_TRY(written, noise.write_message(ByteView(payload).first(payload_bytes),
                                           room.subspan(kRecordHeadBytes)));
  SEALINE_ASSERT(written == message_bytes(config.mode, Step::hello));
  context.outbox.add(kRecordHeadBytes + written);
  return ExpectAnswer{std::move(noise), nonce_a};
}

Result<AnswerVerified> on_answer(ExpectAnswer&& state, ByteView message,
                                 HandshakeContext& context) {
  const Mode mode = context.client->mode;
  ExpectAnswer here = std::move(state);

  // <- e, ee        (NX, XX: <- e, ee, s, es)
  ByteArray<kSettingsBytes + kSasNonceBytes> payload{};
  const auto read = here.noise.read_message(message, payload);
  if (!read) return std::unexpected(step_fault(read.error(), Errc::answer_not_authentic));
  SEALINE_TRY(settings,
              parse_settings(FixedView<kSettingsBytes>(ByteView(payload).first<kSettingsBytes>())));

  AnswerVerified next{std::move(here.noise), here.nonce_a, {}, settings.max_record_log2};
  if (has_sas(mode))
    std::ranges::copy(ByteView(payload).subspan(kSettingsBytes), next.nonce_b.begin());
  return next;
}

Result<Agreement> finish_client(AnswerVerified&& state, HandshakeContext& context) {
  const ClientConfig& config = *context.client;
  AnswerVerified here = std::move(state);
  if (config.mode == Mode::mutual) {
    // -> s, se
    const MutableBytes room = context.outbox.room();
    std::ranges::copy(encode_head(config.mode, Step::auth), room.begin());
    const auto written = here.noise.write_message({}, room.subspan(kRecordHeadBytes));
    if (!written) return std::unexpected(step_fault(written.error(), Errc::answer_not_authentic));
    context.outbox.add(kRecordHeadBytes + *written);
  }

  Agreement agreement;
  agreement.mode = config.mode;
  agreement.max_record_log2 = std::min(config.limits.max_record_log2, here.peer_record_log2);
  agreement.peer_key = here.noise.remote_static();
  agreement.nonce_a = here.nonce_a;
  agreement.nonce_b = here.nonce_b;
  TranscriptHash h{};
  std::ranges::copy(here.noise.hash(), h.begin());
  SEALINE_TRY(keys, std::move(here.noise).split());
  agreement.keys = make_key_schedule(context.engine, keys, h);
  return agreement;
}

}  // namespace sealine::stcp::detail
