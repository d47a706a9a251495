#include "sealine/io/trust.hpp"

#include "sealine/base/bytes.hpp"
#include "sealine/crypto/constant_time.hpp"
#include "sealine/io/state_dir.hpp"

#include <mutex>
#include <utility>

namespace sealine::io {

namespace {

bool is_same(const crypto::PublicKey& a, const crypto::PublicKey& b) {
  return crypto::ct_equal(a.view(), b.view());
}

Verdict verdict_of(const ContactResult& result, const crypto::PublicKey& key) {
  Verdict verdict;
  for (const KnownKey& known : result.keys) {
    verdict.pins.push_back(known.key);
    if (is_same(known.key, key)) verdict.name = known.name;
  }
  switch (result.contact) {
    case Contact::pinned:
      verdict.word = TrustWord::first_contact;
      break;
    case Contact::known:
      verdict.word = TrustWord::known;
      break;
    case Contact::changed:
      verdict.refused = Error{Errc::peer_key_changed};
      break;
  }
  return verdict;
}

}  // namespace

Result<TrustPolicy> parse_trust_policy(std::string_view text) {
  if (text == "new") return TrustPolicy::first;
  if (text == "ask") return TrustPolicy::ask;
  if (text == "pinned") return TrustPolicy::pinned;
  return fail(Errc::usage);
}

std::string_view to_string(TrustWord word) noexcept {
  switch (word) {
    case TrustWord::not_authenticated:
      return "not authenticated";
    case TrustWord::first_contact:
      return "new, pinned";
    case TrustWord::known:
      return "known";
    case TrustWord::given:
      return "given";
    case TrustWord::psk:
      return "psk";
  }
  return "";
}

void Trust::next_key(const Introduction& /*introduction*/, const crypto::PublicKey& /*next*/) {}

/// What an answer that comes late still needs.
struct KnownPeersTrust::Shared {
  KnownPeers file;
  TrustPolicy policy;
  std::mutex prompt_mutex;  ///< one question at a time
  Prompt prompt;

  Verdict pin(const Introduction& introduction) {
    auto result = file.first_contact(introduction.peer, introduction.key);
    if (!result) return Verdict::refuse(result.error());
    return verdict_of(*result, introduction.key);
  }
};

KnownPeersTrust::KnownPeersTrust(KnownPeers file, TrustPolicy policy, Prompt prompt)
    : shared_(new Shared{std::move(file), policy, {}, std::move(prompt)}) {}

void KnownPeersTrust::decide(const Introduction& introduction, Answer answer) {
  if (shared_->policy == TrustPolicy::first) return answer(shared_->pin(introduction));

  auto all = shared_->file.list();
  if (!all) return answer(Verdict::refuse(all.error()));
  ContactResult known{Contact::changed, {}};
  const bool is_server = introduction.role == Introduction::Role::server;
  for (KnownKey& entry : *all) {
    const bool same = is_same(entry.key, introduction.key);
    if (is_server ? entry.peer != introduction.peer : !same) continue;
    if (same) known.contact = Contact::known;
    known.keys.push_back(std::move(entry));
  }
  if (!known.keys.empty()) return answer(verdict_of(known, introduction.key));

  // A stranger.
  if (shared_->policy == TrustPolicy::pinned || !shared_->prompt) {
    return answer(Verdict::refuse({Errc::peer_key_refused}));
  }
  const std::scoped_lock lock(shared_->prompt_mutex);
  shared_->prompt(
      introduction, [shared = shared_, introduction, answer = std::move(answer)](bool yes) mutable {
        answer(yes ? shared->pin(introduction) : Verdict::refuse({Errc::peer_key_refused}));
      });
}

void KnownPeersTrust::next_key(const Introduction& introduction, const crypto::PublicKey& next) {
  // Where the file cannot be written, the present pin stays good: nothing to report to the peer.
  (void)shared_->file.set_next(introduction.peer, introduction.key, next);
}

void GivenKeyTrust::decide(const Introduction& introduction, Answer answer) {
  for (const crypto::PublicKey& key : keys_) {
    if (is_same(key, introduction.key)) return answer(Verdict::accept(TrustWord::given));
  }
  Verdict verdict = Verdict::refuse({Errc::peer_key_changed});
  verdict.pins = keys_;
  answer(std::move(verdict));
}

void AllowFileTrust::decide(const Introduction& introduction, Answer answer) {
  auto name = file_->find(introduction.key);
  if (!name) return answer(Verdict::refuse({Errc::peer_key_refused}));
  Verdict verdict = Verdict::accept(TrustWord::given);
  verdict.name = std::move(*name);
  answer(std::move(verdict));
}

Result<std::shared_ptr<Trust>> default_client_trust(TrustPolicy policy, Prompt prompt,
                                                    const std::filesystem::path& state_dir) {
  SEALINE_TRY(folder, open_state_dir(state_dir));
  return std::make_shared<KnownPeersTrust>(KnownPeers(folder / "known_peers"), policy,
                                           std::move(prompt));
}

Result<std::shared_ptr<Trust>> default_server_trust(TrustPolicy policy, Prompt prompt,
                                                    const std::filesystem::path& state_dir) {
  SEALINE_TRY(folder, open_state_dir(state_dir));
  return std::make_shared<KnownPeersTrust>(
      KnownPeers(folder / "known_clients", KnownPeers::Kind::clients), policy, std::move(prompt));
}

}  // namespace sealine::io
