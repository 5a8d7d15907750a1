#pragma once

#include "harness/core/case.h"
#include "harness/core/inputs.h"
#include "harness/sweep/families.h"
#include "kernels/runtime/status.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace hipforge::harness {

/// One value that a choice can take. Of a special kind of data also the families that it stands for, in place of that of
/// the family field.
template <class T>
struct Value {
  std::string name;
  T value;
  std::string feature{};
  std::vector<std::string> families{};
};

/// The fields of the spec that an op makes its cases of, declared once:
///
///   const Fields<Spec>& fields() {
///     static const auto all = Fields<Spec>()
///         .size("rows", &Spec::rows).size("hidden", &Spec::hidden)
///         .flag("residual", &Spec::fused).says("residual", "plain")
///         .family("family", &Spec::family);
///     return all;
///   }
///
/// Ids, features, families, sizes, and what can be set to shrink a failing case follow, in the order of the
/// declaration. `access` is what std::invoke takes to get a reference to the value from a Spec&: a pointer to a member,
/// or a function.
template <class Spec>
class Fields {
 public:
  using Text = std::function<std::string(const Spec&)>;
  using Rule = std::function<bool(const Spec&)>;

  /// A number of at least `least` (a case that has less keeps it), in steps of `step` from there. Part of the shape.
  template <class Access>
  Fields& size(const std::string& name, Access access, std::int64_t least = 1, std::int64_t step = 1) {
    dimensions_.push_back({name, [access](const Spec& spec) { return get(access, spec); }});
    return number(name, access, least, step);
  }

  /// The same, but no part of the shape.
  template <class Access>
  Fields& number(const std::string& name, Access access, std::int64_t least = 1, std::int64_t step = 1) {
    Entry entry{name, {}, {}, {}, true, least, step};
    entry.text = [access](const Spec& spec) { return std::to_string(get(access, spec)); };
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

  /// One of several values by name, the first `simple` of them the simplest first: a failing case is tried with those
  /// before its own. A case that has none of the values keeps its own.
  template <class T, class Access>
  Fields& choice(const std::string& name, Access access, std::vector<Value<T>> values,
                 std::size_t simple = 1) {
    Entry entry{name, {}, {}, {}, false, 0, 1};
    for (std::size_t i = 0; i < std::min(simple, values.size()); ++i) entry.simple.push_back(values[i].name);
    entry.text = [access, values](const Spec& spec) {
      for (const Value<T>& one : values) {
        if (get(access, spec) == one.value) return one.name;
      }
      return std::string(kOwnValue);
    };
    entry.assign = [access, values](Spec& spec, const std::string& text) {
      for (const Value<T>& one : values) {
        if (one.name != text) continue;
        std::invoke(access, spec) = one.value;
        return true;
      }
      return false;
    };
    entries_.push_back(std::move(entry));
    for (const Value<T>& one : values) {
      if (one.feature.empty() && one.families.empty()) continue;
      const Rule is_this = [access, value = one.value](const Spec& spec) {
        return get(access, spec) == value;
      };
      if (!one.feature.empty()) feature(one.feature, is_this);
      if (!one.families.empty()) special(one.families, is_this);
    }
    return *this;
  }

  template <class Access>
  Fields& flag(const std::string& name, Access access, bool simplest = false) {
    last_flag_ = [access](const Spec& spec) { return get(access, spec); };
    return choice<bool>(name, access,
                        {{simplest ? "on" : "off", simplest}, {simplest ? "off" : "on", !simplest}});
  }

  /// Features of the flag before it, where it is on and where it is off; empty: none.
  Fields& says(const std::string& on, const std::string& off = "") {
    return feature([on, off, is_on = last_flag_](const Spec& spec) { return is_on(spec) ? on : off; });
  }

  /// A scalar that is simple at one value.
  template <class Access, class T>
  Fields& scalar(const std::string& name, Access access, T simplest) {
    return choice<T>(name, access, {{fmt::format("{:g}", simplest), simplest}});
  }

  /// The kind of the data: that of the last one declared is the case's. Its feature is its name, but for normal
  /// ones.
  template <class Access>
  Fields& family(const std::string& name, Access access, bool is_feature = true) {
    family_ = [access](const Spec& spec) { return get(access, spec); };
    std::vector<Value<Family>> values;
    for (Family one : {Family::kEqual, Family::kIntegers, Family::kOneHot, Family::kPositive, Family::kNormal,
                       Family::kUniform, Family::kOutliers, Family::kSubnormal, Family::kCancel}) {
      values.push_back({family_name(one), one});
    }
    if (is_feature) {
      feature([this_family = family_](const Spec& spec) {
        const Family one = this_family(spec);
        return one == Family::kNormal ? std::string() : std::string(family_name(one));
      });
    }
    const std::size_t all = values.size();
    return choice<Family>(name, access, std::move(values), all);
  }

  template <class Access>
  Fields& layout(const std::string& name, Access access) {
    layout_ = [access](const Spec& spec) { return std::string(layout_name(get(access, spec))); };
    return choice<Layout>(name, access,
                          {{layout_name(Layout::kContiguous), Layout::kContiguous},
                           {layout_name(Layout::kStrided), Layout::kStrided}});
  }
  /// The layout's name, where it is not a Layout.
  Fields& layout_text(Text text) {
    layout_ = std::move(text);
    return *this;
  }

  /// The dtype that the case counts for.
  template <class Access>
  Fields& dtype(Access access) {
    dtype_ = [access](const Spec& spec) { return get(access, spec); };
    return *this;
  }

  /// A feature that follows from several fields; empty: none.
  Fields& feature(Text text) {
    features_.push_back(std::move(text));
    return *this;
  }
  Fields& feature(const std::string& name, Rule holds) {
    return feature([name, holds](const Spec& spec) { return holds(spec) ? name : std::string(); });
  }

  /// "plain" is the feature of a case that has no other.
  Fields& plain() {
    plain_ = true;
    return *this;
  }

  /// Families where `holds`: all that do hold are a case's, and the family field's does not count beside an
  /// `exclusive` one.
  Fields& special(std::vector<std::string> families, Rule holds, bool exclusive = true) {
    families_.push_back({std::move(families), std::move(holds), exclusive});
    return *this;
  }

  /// The shape in words of its own, in place of the sizes.
  Fields& shape_text(Text text) {
    shape_text_ = std::move(text);
    return *this;
  }

  /// What the id says after the features ("residual_x"), or in their place; "_x" continues what it said last.
  Fields& option(Text text) {
    options_.push_back(std::move(text));
    return *this;
  }
  Fields& no_features_in_id() {
    features_in_id_ = false;
    return *this;
  }

  /// A size under another name, for the edges that coverage asks for ("tiled_rows").
  Fields& alias(Text name, std::function<std::int64_t(const Spec&)> size) {
    aliases_.push_back({std::move(name), std::move(size)});
    return *this;
  }

  /// More than one tile, wave or block of the kernel.
  Fields& over_tile(Rule rule) {
    over_tile_ = std::move(rule);
    return *this;
  }

  /// Changes what follows from other settings.
  Fields& settle(std::function<void(Spec&)> change) {
    settle_ = std::move(change);
    return *this;
  }
  /// What every spec must hold, beyond what each field says.
  Fields& require(Rule rule) {
    rules_.push_back(std::move(rule));
    return *this;
  }

  /// The case of `spec`, all but what prepares it.
  [[nodiscard]] Case describe(const std::string& op, const Spec& spec) const {
    Case test;
    test.op = op;
    test.dtype = dtype_(spec);
    test.layout = layout_(spec);
    for (const Text& text : features_) {
      const std::string feature = text(spec);
      if (!feature.empty()) test.features.push_back(feature);
    }
    if (plain_ && test.features.empty()) test.features.emplace_back("plain");
    bool special = false;
    for (const auto& [families, holds, exclusive] : families_) {
      if (!holds(spec)) continue;
      special = special || exclusive;
      test.families.insert(test.families.end(), families.begin(), families.end());
    }
    if (!special && family_) test.families.emplace_back(input_family(family_(spec)));
    Shape shape;
    std::vector<std::pair<std::string, std::int64_t>> sizes;
    for (const auto& [name, size] : dimensions_) {
      shape.push_back(size(spec));
      sizes.emplace_back(name, shape.back());
    }
    test.odd = any_odd(shape);
    for (const auto& [name, size] : aliases_) {
      sizes.emplace_back(name(spec), size(spec));
      test.odd = test.odd || any_odd({sizes.back().second});
    }
    set_sizes(test, std::move(sizes));
    test.shape = shape_text_ ? shape_text_(spec) : shape_name(shape);
    test.over_tile = over_tile_ && over_tile_(spec);
    if constexpr (requires { spec.quick; }) test.quick = spec.quick;
    if constexpr (requires { spec.emulated; }) test.emulated = spec.emulated;
    std::string options;
    const auto say = [&](const std::string& text) {
      if (text.empty()) return;
      options += (options.empty() || text.front() == '_' ? "" : ".") + text;
    };
    if (features_in_id_) {
      for (const std::string& feature : test.features) say(feature);
    }
    for (const Text& text : options_) say(text(spec));
    test.id = fmt::format("{}/{}/{}/{}/{}", op, dtype_name(test.dtype), test.layout, test.shape,
                          options.empty() ? "plain" : options);
    std::erase(test.id, '+');  // of an exponent
    return test;
  }

  /// Value of Case::variants for the case that `make_case` made of `spec`.
  [[nodiscard]] std::function<Variants()> variants(const Spec& spec,
                                                   std::function<Case(const Spec&)> make_case) const {
    return [this, spec, make_case] { return variants_of(spec, spec, make_case); };
  }

 private:
  static constexpr const char* kOwnValue = "own";

  struct Entry {
    std::string name;
    std::vector<std::string> simple;
    Text text;
    std::function<bool(Spec&, const std::string&)> assign;
    bool is_size;
    std::int64_t least;
    std::int64_t step;
  };
  struct Special {
    std::vector<std::string> families;
    Rule holds;
    bool exclusive;
  };

  template <class Access>
  static auto get(const Access& access, const Spec& spec) {
    return std::remove_cvref_t<decltype(std::invoke(access, const_cast<Spec&>(spec)))>(
        std::invoke(access, const_cast<Spec&>(spec)));
  }

  // Of `spec`, which is `base` after some settings.
  Variants variants_of(const Spec& base, const Spec& spec,
                       const std::function<Case(const Spec&)>& make_case) const {
    Variants made;
    for (const Entry& entry : entries_) {
      Knob knob{entry.name, entry.text(spec), entry.is_size, entry.least, entry.step, {}};
      for (const std::string& name : entry.simple) {
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
      for (const Rule& rule : rules_) {
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
  std::vector<std::pair<std::string, std::function<std::int64_t(const Spec&)>>> dimensions_;
  std::vector<std::pair<Text, std::function<std::int64_t(const Spec&)>>> aliases_;
  std::vector<Text> features_;
  std::vector<Text> options_;
  std::vector<Special> families_;
  std::function<DType(const Spec&)> dtype_;
  std::function<Family(const Spec&)> family_;
  std::function<bool(const Spec&)> last_flag_;
  Text layout_;
  Rule over_tile_;
  std::function<void(Spec&)> settle_;
  std::vector<Rule> rules_;
  Text shape_text_;
  bool features_in_id_ = true;
  bool plain_ = false;
};

}  // namespace hipforge::harness
