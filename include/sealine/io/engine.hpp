#pragma once

#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/rng.hpp"

namespace sealine::io {

/// The engine that every stream of this process uses.
///
/// It forwards each call to a real engine that belongs to the calling thread and is made at that
/// thread's first call, so that a stream may hop between the threads of an io_context under a
/// strand. Which kind it is was decided once: by choose_engine, else by the environment variable
/// SEALINE_CRYPTO (auto, ipsec-mb, openssl; unknown words and engines that are not to be had count
/// as auto). Any thread.
[[nodiscard]] SEALINE_API crypto::Engine& thread_engine();

/// Decides before the first use. Errors: bad_configuration, where the engine is not to be had;
/// wrong_state after the first use.
[[nodiscard]] SEALINE_API Result<> choose_engine(crypto::EngineChoice choice);

/// What SEALINE_CRYPTO asks for. Errors: bad_configuration, where the word is unknown or its
/// engine is not to be had: a program that wants to say so calls this at its start.
[[nodiscard]] SEALINE_API Result<crypto::EngineChoice> engine_choice_from_environment();

/// The system's generator. Any thread.
[[nodiscard]] SEALINE_API crypto::Rng& system_rng();

}  // namespace sealine::io
