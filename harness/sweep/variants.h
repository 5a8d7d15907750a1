#pragma once

#include "harness/core/case.h"
#include "harness/core/inputs.h"
#include "harness/sweep/find_case.h"
#include "kernels/runtime/status.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace hipforge::harness {

/// What can be set in the spec from which an op makes its cases, so that a failing case can be made smaller
/// and simpler: sizes, flags, and choices such as the family of the data. An op lists its own once:
///
///   const SpecKnobs<Spec>& knobs() {
///     static const auto all = SpecKnobs<Spec>().size("rows", &Spec::rows).flag("fused", &Spec::fused);
///     return all;
///   }
///
/// `access` is what std::invoke takes to get a reference to the value from a Spec&: a pointer to a member, or
/// a function.
template <class Spec>
class SpecKnobs {
 public:
  /// A number of at least `least` (a case that has less keeps it), in steps of `step` from there.
  template <class Access>
  SpecKnobs& size(const std::string& name, Access access, std::int64_t least = 1, std::int64_t step = 1) {
    Entry entry{name, {}, {}, {}, true, least, step};
    entry.text = [access](const Spec& spec) {
      return std::to_string(std::invoke(access, const_cast<Spec&>(spec)));
    };
    entry.assign = [access, least, step](Spec& spec, const std::string& text) {
      std::int64_t value = 0;
      const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
      if (end.ec != std::errc{} || end.ptr != text.data() + text.size()) return false;
      if (value < least || (value - least) % step != 0) return false;
      std::invoke(access, spec) = value;
      return true;
    };
    entries_.push_back(std::move(entry));
    return *this;
  }

  /// One of several values by name, the simplest first. A case that has none of them keeps its own until it
  /// is given one.
  template <class Access, class T>
  SpecKnobs& choice(const std::string& name, Access access, std::vector<std::pair<std::string, T>> values) {
    Entry entry{name, {}, {}, {}, false, 0, 1};
    for (const auto& [value_name, value] : values) entry.choices.push_back(value_name);
    entry.text = [access, values](const Spec& spec) {
      for (const auto& [value_name, value] : values) {
        if (std::invoke(access, const_cast<Spec&>(spec)) == value) return value_name;
      }
      return std::string(kOwnValue);
    };
    entry.assign = [access, values](Spec& spec, const std::string& text) {
      for (const auto& [value_name, value] : values) {
        if (value_name != text) continue;
        std::invoke(access, spec) = value;
        return true;
      }
      return false;
    };
    entries_.push_back(std::move(entry));
    return *this;
  }

  template <class Access>
  SpecKnobs& flag(const std::string& name, Access access, bool simplest = false) {
    return choice(name, access,
                  std::vector<std::pair<std::string, bool>>{{simplest ? "on" : "off", simplest},
                                                            {simplest ? "off" : "on", !simplest}});
  }

  /// A scalar that is simple at one value.
  template <class Access, class T>
  SpecKnobs& scalar(const std::string& name, Access access, T simplest) {
    return choice(name, access,
                  std::vector<std::pair<std::string, T>>{{fmt::format("{:g}", simplest), simplest}});
  }

  template <class Access>
  SpecKnobs& family(const std::string& name, Access access) {
    std::vector<std::pair<std::string, Family>> values;
    for (Family one : {Family::kEqual, Family::kIntegers, Family::kOneHot, Family::kPositive, Family::kNormal,
                       Family::kUniform, Family::kOutliers, Family::kSubnormal, Family::kCancel}) {
      values.emplace_back(family_name(one), one);
    }
    return choice(name, access, values);
  }

  template <class Access>
  SpecKnobs& layout(const std::string& name, Access access) {
    return choice(
        name, access,
        std::vector<std::pair<std::string, Layout>>{{layout_name(Layout::kContiguous), Layout::kContiguous},
                                                    {layout_name(Layout::kStrided), Layout::kStrided}});
  }

  /// Changes what follows from other settings.
  SpecKnobs& settle(std::function<void(Spec&)> change) {
    settle_ = std::move(change);
    return *this;
  }

  /// What every spec must hold, beyond what each knob says.
  SpecKnobs& require(std::function<bool(const Spec&)> rule) {
    rules_.push_back(std::move(rule));
    return *this;
  }

  /// Value of Case::variants for the case that `make_case` made of `spec`.
  [[nodiscard]] std::function<Variants()> variants(const Spec& spec, Case (*make_case)(const Spec&)) const {
    return [this, spec, make_case] { return variants_of(spec, spec, make_case); };
  }

 private:
  static constexpr const char* kOwnValue = "own";

  struct Entry {
    std::string name;
    std::vector<std::string> choices;
    std::function<std::string(const Spec&)> text;
    std::function<bool(Spec&, const std::string&)> assign;
    bool is_size;
    std::int64_t least;
    std::int64_t step;
  };

  // Of `spec`, which is `base` after some settings.
  Variants variants_of(const Spec& base, const Spec& spec, Case (*make_case)(const Spec&)) const {
    Variants made;
    for (const Entry& entry : entries_) {
      Knob knob{entry.name, entry.text(spec), entry.is_size, entry.least, entry.step, {}};
      for (const std::string& name : entry.choices) {
        if (name == knob.value) break;
        knob.simpler.push_back(name);
      }
      made.knobs.push_back(std::move(knob));
    }
    made.make = [this, base, spec, make_case](const Settings& settings) {
      Spec changed = spec;
      for (const auto& [name, value] : settings) {
        const auto entry = std::find_if(entries_.begin(), entries_.end(),
                                        [&, &wanted = name](const Entry& one) { return one.name == wanted; });
        if (entry == entries_.end()) throw Error(invalid_argument("no setting ", name, ": ", names()));
        if (!entry->assign(changed, value)) {
          throw Error(invalid_argument("setting ", name, " cannot be ", value));
        }
      }
      if (settle_) settle_(changed);
      for (const auto& rule : rules_) {
        if (!rule(changed)) throw Error(invalid_argument("these settings do not go together"));
      }
      Case test = make_case(changed);
      test.id = make_case(base).id;
      char separator = '@';
      for (const Entry& entry : entries_) {
        const std::string value = entry.text(changed);
        if (value == entry.text(base)) continue;
        test.id += fmt::format("{}{}={}", separator, entry.name, value);
        separator = ',';
      }
      test.variants = [this, base, changed, make_case] { return variants_of(base, changed, make_case); };
      return test;
    };
    return made;
  }

  std::string names() const {
    std::string text = "choose from";
    for (const Entry& entry : entries_) text += " " + entry.name;
    return text;
  }

  std::vector<Entry> entries_;
  std::function<void(Spec&)> settle_;
  std::vector<std::function<bool(const Spec&)>> rules_;
};

}  // namespace hipforge::harness
