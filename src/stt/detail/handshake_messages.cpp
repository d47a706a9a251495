#include "stt/detail/handshake_messages.hpp"

#include "sealine/base/assert.hpp"
#include "sealine/base/reader.hpp"
#include "sealine/base/writer.hpp"
#include "sealine/crypto/constant_time.hpp"
#include "sealine/crypto/kdf.hpp"
#include "sealine/wire/tlv.hpp"
#include "sealine/wire/varint.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace sealine::stt::detail {
namespace {

using wire::Tag;
using wire::Value;
using Members = std::vector<Value::Member>;

constexpr std::uint32_t kMaxTlvBytes = 4096;

std::unexpected<Error> malformed() { return fail(Errc::bad_handshake_message); }

// Takes the fields of a message out of its dict: each with exactly its tag and length, and none
// that is not known.
class Fields {
 public:
  static Result<Fields> open(ByteView tlv, std::string_view type) {
    auto value = Value::decode(tlv);
    if (!value || value->tag() != Tag::dict) return malformed();
    Fields fields(std::move(*value));
    const Value* name = fields.take("type", Tag::text);
    if (name == nullptr || as_text(name->run()) != type) return malformed();
    return fields;
  }

  template <std::size_t N>
  Fields& bytes(std::string_view key, ByteArray<N>& out) {
    const Value* value = take(key, Tag::bytes);
    if (value == nullptr || value->run().size() != N) {
      failed_ = true;
    } else {
      std::ranges::copy(value->run(), out.begin());
    }
    return *this;
  }

  template <std::size_t N>
  Fields& bytes_if(std::string_view key, std::optional<ByteArray<N>>& out) {
    if (value_.find(key) != nullptr) bytes(key, out.emplace());
    return *this;
  }

  Fields& number(std::string_view key, Tag tag, std::uint64_t& out) {
    const Value* value = take(key, tag);
    if (value == nullptr) {
      failed_ = true;
    } else {
      out = value->bits();
    }
    return *this;
  }

  const Value* take(std::string_view key, Tag tag) {
    const Value* value = value_.find(key);
    if (value == nullptr || value->tag() != tag) {
      failed_ = true;
      return nullptr;
    }
    ++taken_;
    return value;
  }

  [[nodiscard]] bool has(std::string_view key) const { return value_.find(key) != nullptr; }

  void refuse() { failed_ = true; }

  [[nodiscard]] Result<> finish() const {
    if (failed_ || taken_ != value_.keys().size()) return malformed();
    return {};
  }

 private:
  explicit Fields(Value value) : value_(std::move(value)) {}

  Value value_;
  std::size_t taken_ = 0;
  bool failed_ = false;
};

void take_capabilities(Fields& fields, std::vector<std::string>& out) {
  const Value* list = fields.take("capabilities", Tag::list);
  if (list == nullptr) return;
  if (list->items().size() > kMaxCapabilities) fields.refuse();
  for (const Value& item : list->items()) {
    if (item.tag() != Tag::text || item.run().size() > kMaxCapabilityBytes) return fields.refuse();
    out.emplace_back(as_text(item.run()));
  }
}

void take_pad(Fields& fields, std::optional<std::size_t>& out) {
  if (!fields.has("pad")) return;
  const Value* pad = fields.take("pad", Tag::bytes);
  if (pad == nullptr) return;
  if (!std::ranges::all_of(pad->run(), [](std::uint8_t byte) { return byte == 0; }))
    fields.refuse();
  out = pad->run().size();
}

template <std::size_t N>
Value::Member member(std::string key, const ByteArray<N>& bytes) {
  return {std::move(key), Value::bytes(bytes)};
}

Value::Member type(std::string_view name) { return {"type", Value::text(name)}; }

}  // namespace

Bytes Hello::encode(bool with_commitment) const {
  std::vector<Value> names;
  names.reserve(capabilities.size());
  for (const std::string& name : capabilities) names.push_back(Value::text(name));
  Members members{type("HELLO"),
                  {"suite", Value::u8(suite)},
                  member("node_id", node_id),
                  member("nonce", nonce),
                  {"timestamp", Value::u64(timestamp)},
                  {"capabilities", Value::list(std::move(names))}};
  if (ephemeral) members.push_back(member("eph", *ephemeral));
  if (cookie) members.push_back(member("cookie", *cookie));
  if (pad_bytes) members.push_back({"pad", Value::bytes(Bytes(*pad_bytes))});
  if (with_commitment) members.push_back(member("commitment", commitment));
  return Value::dict(std::move(members)).encode();
}

Result<Hello> Hello::parse(ByteView tlv) {
  SEALINE_TRY(fields, Fields::open(tlv, "HELLO"));
  Hello hello;
  std::uint64_t suite = 0;
  fields.number("suite", Tag::u8, suite)
      .bytes("node_id", hello.node_id)
      .bytes("nonce", hello.nonce)
      .number("timestamp", Tag::u64, hello.timestamp)
      .bytes_if("eph", hello.ephemeral)
      .bytes_if("cookie", hello.cookie)
      .bytes("commitment", hello.commitment);
  take_capabilities(fields, hello.capabilities);
  take_pad(fields, hello.pad_bytes);
  SEALINE_TRY(fields.finish());
  hello.suite = static_cast<std::uint8_t>(suite);
  return hello;
}

Bytes Retry::encode() const {
  return Value::dict({type("RETRY"), member("cookie", cookie)}).encode();
}

Result<Retry> Retry::parse(ByteView tlv) {
  SEALINE_TRY(fields, Fields::open(tlv, "RETRY"));
  Retry retry;
  fields.bytes("cookie", retry.cookie);
  SEALINE_TRY(fields.finish());
  return retry;
}

Bytes Response::encode(bool with_challenge) const {
  Members members{type("RESPONSE"), member("node_id", node_id), member("nonce", nonce)};
  if (ephemeral) members.push_back(member("eph", *ephemeral));
  if (with_challenge) {
    members.push_back(member("challenge", challenge));
    members.push_back(member("metadata", metadata));
  }
  return Value::dict(std::move(members)).encode();
}

Result<Response> Response::parse(ByteView tlv) {
  SEALINE_TRY(fields, Fields::open(tlv, "RESPONSE"));
  Response response;
  fields.bytes("node_id", response.node_id)
      .bytes("nonce", response.nonce)
      .bytes_if("eph", response.ephemeral)
      .bytes("challenge", response.challenge)
      .bytes("metadata", response.metadata);
  SEALINE_TRY(fields.finish());
  return response;
}

Bytes AuthProof::encode() const {
  return Value::dict({type("AUTH_PROOF"), member("session_id", session_id), member("proof", proof),
                      member("metadata", metadata)})
      .encode();
}

Result<AuthProof> AuthProof::parse(ByteView tlv) {
  SEALINE_TRY(fields, Fields::open(tlv, "AUTH_PROOF"));
  AuthProof message;
  fields.bytes("session_id", message.session_id)
      .bytes("proof", message.proof)
      .bytes("metadata", message.metadata);
  SEALINE_TRY(fields.finish());
  return message;
}

Bytes Final::encode() const {
  return Value::dict({type("FINAL"), member("session_id", session_id), member("confirm", confirm)})
      .encode();
}

Result<Final> Final::parse(ByteView tlv) {
  SEALINE_TRY(fields, Fields::open(tlv, "FINAL"));
  Final message;
  fields.bytes("session_id", message.session_id).bytes("confirm", message.confirm);
  SEALINE_TRY(fields.finish());
  return message;
}

Result<std::string> message_type(ByteView tlv) {
  const auto value = Value::decode(tlv);
  if (!value || value->tag() != Tag::dict) return malformed();
  const Value* name = value->find("type");
  if (name == nullptr || name->tag() != Tag::text) return malformed();
  return std::string(as_text(name->run()));
}

Result<ByteView> payload_of(const FrameView& frame) {
  // In suite 1 a message is one piece: offset 0, and the total is all that follows.
  Reader reader(frame.payload);
  const auto offset = wire::read_varint(reader);
  if (!offset || *offset != 0) return malformed();
  const auto total = wire::read_varint(reader);
  if (!total || *total != reader.remaining() || *total > kMaxTlvBytes) return malformed();
  return reader.rest();
}

std::size_t frame_bytes(std::size_t tlv_bytes) noexcept {
  const std::size_t payload = 1 + wire::varint_bytes(tlv_bytes) + tlv_bytes;
  const FrameHead head{.type = FrameType::handshake,
                       .payload_bytes = static_cast<std::uint32_t>(payload)};
  return header_bytes(head) + payload + meta_bytes(head);
}

std::size_t encode_frame(FrameType type, const SessionId& id, ByteView tlv, MutableBytes out) {
  const FrameHead head{
      .type = type,
      .session_id = id,
      .payload_bytes = static_cast<std::uint32_t>(1 + wire::varint_bytes(tlv.size()) + tlv.size())};
  const std::size_t header_length = encode_header(head, out);
  Writer writer(out.subspan(header_length));
  wire::put_varint(writer, 0);
  wire::put_varint(writer, tlv.size());
  writer.bytes(tlv);
  SEALINE_ASSERT(writer.finish().has_value());
  const std::size_t meta_place = header_length + writer.used();
  return meta_place + encode_meta(head, out.subspan(meta_place));
}

ByteArray<32> commitment_of(crypto::Engine& engine, const stc::SeedKey& seed_key,
                            const Hello& hello) {
  const auto key =
      crypto::derive<Secret<32, struct SttHelloKeyTag>>(engine, seed_key.expose(), "stt1 hello");
  ByteArray<32> commitment{};
  engine.hmac_sha256(key.expose(), {hello.encode(false)}, commitment);
  return commitment;
}

KeySchedule::KeySchedule(crypto::Engine& engine, const stc::SeedKey& seed_key, const Hello& hello,
                         const Response& response, const crypto::SharedSecret* shared)
    : engine_(&engine),
      nonce_i_(hello.nonce),
      nonce_r_(response.nonce),
      node_i_(hello.node_id),
      node_r_(response.node_id),
      timestamp_(hello.timestamp),
      forward_secrecy_(shared != nullptr) {
  for (std::size_t i = 0; i < session_id_.size(); ++i) {
    session_id_[i] = static_cast<std::uint8_t>(nonce_i_[i] ^ nonce_r_[i] ^ node_i_[i] ^ node_r_[i]);
  }
  engine.sha256({as_bytes("STT1"), hello.encode(true), response.encode(false)}, th2_);
  const ByteView secret = shared != nullptr ? ByteView(shared->expose()) : ByteView{};
  crypto::hkdf_extract(engine, seed_key.expose(), crypto::Parts(&secret, 1), kh_.writable());
}

ByteArray<64> KeySchedule::nonces() const {
  ByteArray<64> both{};
  Writer(both).bytes(nonce_i_).bytes(nonce_r_);
  return both;
}

void KeySchedule::seal_challenge(crypto::Rng& rng, Response& response) const {
  const auto key = crypto::derive<Secret<32, struct SttChallengeKeyTag>>(*engine_, kh_.expose(),
                                                                         "stt1 chal R", th2_);
  const auto sealed = stc::seal(*engine_, rng, key.expose(), "stt1 seal", th2_, nonces());
  SEALINE_ASSERT(sealed.ciphertext.size() == response.challenge.size());
  std::ranges::copy(sealed.ciphertext, response.challenge.begin());
  response.metadata = sealed.metadata;
}

Result<> KeySchedule::check_challenge(const Response& response) const {
  const auto key = crypto::derive<Secret<32, struct SttChallengeKeyTag>>(*engine_, kh_.expose(),
                                                                         "stt1 chal R", th2_);
  const auto opened =
      stc::open(*engine_, key.expose(), "stt1 seal", th2_, response.challenge, response.metadata);
  if (!opened || !crypto::ct_equal(opened->expose(), nonces())) {
    return fail(Errc::answer_not_authentic);
  }
  return {};
}

AuthProof KeySchedule::make_proof(crypto::Rng& rng) const {
  const auto key = crypto::derive<Secret<32, struct SttProofKeyTag>>(*engine_, kh_.expose(),
                                                                     "stt1 proof I", th2_);
  const auto sealed = stc::seal(*engine_, rng, key.expose(), "stt1 seal", th2_, session_id_);
  AuthProof message{.session_id = session_id_, .proof = {}, .metadata = sealed.metadata};
  SEALINE_ASSERT(sealed.ciphertext.size() == message.proof.size());
  std::ranges::copy(sealed.ciphertext, message.proof.begin());
  return message;
}

Result<> KeySchedule::check_proof(const AuthProof& message) const {
  const auto key = crypto::derive<Secret<32, struct SttProofKeyTag>>(*engine_, kh_.expose(),
                                                                     "stt1 proof I", th2_);
  const auto opened =
      stc::open(*engine_, key.expose(), "stt1 seal", th2_, message.proof, message.metadata);
  if (!opened || !crypto::ct_equal(opened->expose(), session_id_)) {
    return fail(Errc::answer_not_authentic);
  }
  return {};
}

Final KeySchedule::make_final() const {
  const auto key = crypto::derive<Secret<32, struct SttFinalKeyTag>>(*engine_, kh_.expose(),
                                                                     "stt1 final R", th2_);
  Final message{.session_id = session_id_, .confirm = {}};
  engine_->hmac_sha256(key.expose(), {session_id_}, message.confirm);
  return message;
}

Result<> KeySchedule::check_final(const Final& message) const {
  const Final expected = make_final();
  const bool same_session = message.session_id == session_id_;
  if (!crypto::ct_equal(expected.confirm, message.confirm) || !same_session) {
    return fail(Errc::answer_not_authentic);
  }
  return {};
}

Established KeySchedule::establish(Role role) const {
  const Bytes context = Value::dict({member("nonce_a", nonce_i_),
                                     member("nonce_b", nonce_r_),
                                     {"timestamp", Value::u64(timestamp_)},
                                     member("node_a", node_i_),
                                     member("node_b", node_r_),
                                     {"purpose", Value::text("session_key")}})
                            .encode();
  ByteArray<32> hash{};
  engine_->sha256({context, th2_}, hash);
  const auto session_key = crypto::derive<Secret<32, struct SttSessionKeyTag>>(
      *engine_, kh_.expose(), "stt1 session", hash);
  return {.role = role,
          .session_id = session_id_,
          .initiator_key =
              crypto::derive<DirectionKey>(*engine_, session_key.expose(), "stt1 i2r", th2_),
          .responder_key =
              crypto::derive<DirectionKey>(*engine_, session_key.expose(), "stt1 r2i", th2_),
          .forward_secrecy = forward_secrecy_,
          .peer = role == Role::initiator ? node_r_ : node_i_,
          .peer_capabilities = {}};
}

}  // namespace sealine::stt::detail
