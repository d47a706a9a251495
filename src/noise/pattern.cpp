#include "sealine/noise/pattern.hpp"

#include <array>

namespace sealine::noise::patterns {
namespace {

using Tokens = std::span<const Token>;
using Messages = std::span<const Tokens>;
using enum Token;

// The messages of section 7.5 (and 9.4), once each. A row of tokens is an array of its own, since a
// span owns nothing.
constexpr std::array kS{s};
constexpr std::array kE{e};
constexpr std::array kEEe{e, ee};
constexpr std::array kEEeSEs{e, ee, s, es};
constexpr std::array kEEs{e, es};
constexpr std::array kEEsSSs{e, es, s, ss};
constexpr std::array kEEeSe{e, ee, se};
constexpr std::array kSSe{s, se};
constexpr std::array kEEsSs{e, es, ss};
constexpr std::array kPskE{psk, e};
constexpr std::array kEEePsk{e, ee, psk};
constexpr std::array kEEeSePsk{e, ee, se, psk};

constexpr std::array<Tokens, 2> kNn{kE, kEEe};
constexpr std::array<Tokens, 2> kNx{kE, kEEeSEs};
constexpr std::array<Tokens, 2> kNk{kEEs, kEEe};
constexpr std::array<Tokens, 2> kIk{kEEsSSs, kEEeSe};
constexpr std::array<Tokens, 3> kXx{kE, kEEeSEs, kSSe};
constexpr std::array<Tokens, 2> kKk{kEEsSs, kEEeSe};
constexpr std::array<Tokens, 2> kNnPsk0{kPskE, kEEe};
constexpr std::array<Tokens, 2> kNnPsk2{kE, kEEePsk};
constexpr std::array<Tokens, 2> kNkPsk2{kEEs, kEEePsk};
constexpr std::array<Tokens, 2> kIkPsk2{kEEsSSs, kEEeSePsk};

}  // namespace

//                          name      <- known of the initiator, of the responder; messages
constexpr Pattern nn{"NN", {}, {}, kNn};
constexpr Pattern nx{"NX", {}, {}, kNx};
constexpr Pattern nk{"NK", {}, kS, kNk};
constexpr Pattern ik{"IK", {}, kS, kIk};
constexpr Pattern xx{"XX", {}, {}, kXx};
constexpr Pattern kk{"KK", kS, kS, kKk};
constexpr Pattern nn_psk0{"NNpsk0", {}, {}, kNnPsk0};
constexpr Pattern nn_psk2{"NNpsk2", {}, {}, kNnPsk2};
constexpr Pattern nk_psk2{"NKpsk2", {}, kS, kNkPsk2};
constexpr Pattern ik_psk2{"IKpsk2", {}, kS, kIkPsk2};

}  // namespace sealine::noise::patterns
