// The command line's options: one table a command, from which both parsing and --help come.
//
// Errors teach: an unknown option or value names the nearest one that exists.
#pragma once

#include <expected>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/types.h"

namespace penumbra::cli {

struct Option {
  const char* group;
  const char* name;      ///< without the dashes
  const char* argument;  ///< what its value is called in the help; nullptr: a switch
  const char* help;      ///< lines are separated by '\n'
  enum class Repeat : u8 { Once, Many } repeat = Repeat::Once;
};

struct Command {
  const char* name;
  const char* positional;  ///< what follows the options, nullptr: nothing does
  const char* summary;
  std::span<const Option> options;
  const char* examples;
};

/// What stood on the command line.
class Arguments {
 public:
  bool has(const std::string& name) const { return values_.contains(name); }
  /// The value of an option that stands once.
  std::optional<std::string> value(const std::string& name) const;
  std::vector<std::string> values(const std::string& name) const;
  const std::vector<std::string>& positional() const { return positional_; }

  void add(const std::string& name, std::vector<std::string> values);
  void add_positional(std::string text) { positional_.push_back(std::move(text)); }

 private:
  std::map<std::string, std::vector<std::string>> values_;
  std::vector<std::string> positional_;
};

/// The error is one line for the user.
std::expected<Arguments, std::string> parse_arguments(const Command& command,
                                                      const std::vector<std::string>& words);

std::string help_text(const Command& command);

/// "; did you mean X?" where one of `known` is near `word`, else "".
std::string did_you_mean(std::string_view word, const std::vector<std::string>& known,
                         const std::string& prefix = "");

}  // namespace penumbra::cli
