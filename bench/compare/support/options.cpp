#include "support/options.hpp"

#include <stdexcept>

namespace sealine::bench {

Options::Options(int argc, char** argv) {
  for (int index = 1; index < argc; ++index) {
    const std::string_view argument = argv[index];
    const std::size_t equals = argument.find('=');
    if (equals == std::string_view::npos) {
      throw std::invalid_argument("arguments are key=value, not '" + std::string(argument) + "'");
    }
    values_[std::string(argument.substr(0, equals))].text = argument.substr(equals + 1);
  }
}

std::string Options::text(std::string_view key, std::string_view otherwise) const {
  const std::string* value = find(key);
  return value != nullptr ? *value : std::string(otherwise);
}

std::uint64_t Options::number(std::string_view key, std::uint64_t otherwise) const {
  const std::string* value = find(key);
  return value != nullptr ? std::stoull(*value) : otherwise;
}

double Options::seconds(std::string_view key, double otherwise) const {
  const std::string* value = find(key);
  return value != nullptr ? std::stod(*value) : otherwise;
}

bool Options::flag(std::string_view key) const { return number(key, 0) != 0; }

void Options::finish() const {
  for (const auto& [key, value] : values_) {
    if (!value.asked_for) {
      throw std::invalid_argument("unknown argument '" + key + "'");
    }
  }
}

const std::string* Options::find(std::string_view key) const {
  const auto found = values_.find(key);
  if (found == values_.end()) {
    return nullptr;
  }
  found->second.asked_for = true;
  return &found->second.text;
}

}  // namespace sealine::bench
