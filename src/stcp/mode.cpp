#include "sealine/stcp/mode.hpp"

#include "stcp/detail/lifecycle.hpp"
#include "stcp/detail/noise_glue.hpp"

namespace sealine::stcp {

std::string_view pattern_name(Mode mode) noexcept { return detail::pattern_of(mode).name; }

std::string_view to_string(State state) noexcept {
  switch (state) {
    case State::init:
      return "INIT";
    case State::key_exchange:
      return "KEY_EXCHANGE";
    case State::encrypted:
      return "ENCRYPTED";
    case State::error:
      return "ERROR";
    case State::closed:
      return "CLOSED";
  }
  return "?";
}

namespace detail {

const noise::Pattern& pattern_of(Mode mode) noexcept {
  switch (mode) {
    case Mode::anonymous:
      return noise::patterns::nn;
    case Mode::tofu:
      return noise::patterns::nx;
    case Mode::mutual:
      return noise::patterns::xx;
    case Mode::psk:
      return noise::patterns::nn_psk0;
  }
  return noise::patterns::nn;
}

std::string_view to_string(LifecycleEvent event) noexcept {
  switch (event) {
    case LifecycleEvent::started:
      return "started";
    case LifecycleEvent::answer_verified:
      return "answer_verified";
    case LifecycleEvent::finish_verified:
      return "finish_verified";
    case LifecycleEvent::fault:
      return "fault";
    case LifecycleEvent::both_closed:
      return "both_closed";
    case LifecycleEvent::abort_over:
      return "abort_over";
    case LifecycleEvent::fault_taken:
      return "fault_taken";
  }
  return "?";
}

}  // namespace detail
}  // namespace sealine::stcp
