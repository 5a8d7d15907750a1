#pragma once

#include "harness/core/case.h"
#include "harness/core/inputs.h"
#include "harness/sweep/case_table.h"
#include "harness/sweep/families.h"
#include "harness/system/number.h"

#include <fmt/format.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace hipforge::harness {

/// What the spec of every op has.
struct SpecBase {
  DType dtype = DType::kF32;
  Layout layout = Layout::kContiguous;
  Family family = Family::kNormal;
  bool quick = false;
  bool emulated = false;
};

/// One value that a choice can take. Of a special kind of data also the families that it stands for, in place
/// of that of the family field.
template <class T>
struct Value {
  std::string name;
  T value;
  std::string feature{};
  std::vector<std::string> families{};
};

/// Fields<Spec>, for a spec of whatever type: what needs no template.
class FieldList {
 protected:
  using Text = std::function<std::string(const void* spec)>;
  using Rule = std::function<bool(const void* spec)>;
  using Number = std::function<std::int64_t(const void* spec)>;
  using SetNumber = std::function<void(void* spec, std::int64_t)>;
  using Kept = std::shared_ptr<const void>;
  using MakeCase = std::function<Case(const void* spec)>;

  struct Entry {
    std::string name;
    std::vector<std::string> simple;
    bool is_size = false;
    std::int64_t least = 0;
    std::int64_t step = 1;
    bool is_choice = false;
    Text text{};
    std::function<bool(void* spec, const std::string&)> assign{};
  };
  struct Dimension {
    std::string name;
    Number get;
    SetNumber set;
    bool in_shape;
  };
  struct Special {
    std::vector<std::string> families;
    Rule holds;
    bool exclusive;
  };

  struct Word {
    std::string name;
    std::function<bool(void* spec, const std::string&)> assign;
  };

  void add_number(const std::string& name, Number get, SetNumber set, std::int64_t least, std::int64_t step);
  /// `get` gives the place of the value among the names, or past their end.
  void add_choice(const std::string& name, const std::vector<std::string>& names, std::size_t simple,
                  std::function<std::size_t(const void*)> get, std::function<void(void*, std::size_t)> set);
  // What a word of a table says: NAME=VALUE, a flag that is on, or a value that one choice alone has. False
  // where it says nothing, or too much.
  [[nodiscard]] bool set_word(void* spec, const std::string& word) const;
  void set_row(void* spec, const TableCase& row) const;
  [[nodiscard]] const Dimension& dimension(const std::string& name) const;
  [[nodiscard]] Case case_of(const std::string& op, const void* spec) const;
  // Of `spec`, which is `base` after some settings.
  [[nodiscard]] Variants variants_of(const Kept& base, const Kept& spec, const MakeCase& make_case) const;

  std::shared_ptr<void> (*clone_)(const void*) = nullptr;
  std::vector<Entry> entries_;
  std::vector<Word> words_;
  std::vector<Dimension> dimensions_;
  std::vector<Text> features_;
  std::vector<Text> options_;
  std::vector<Special> families_;
  std::function<DType(const void*)> dtype_;
  std::function<Family(const void*)> family_;
  std::function<void(void*)> same_dtypes_;
  Rule last_flag_;
  std::string last_name_;
  Text layout_;
  Rule over_tile_;
  std::function<void(void*)> settle_;
  std::vector<Rule> rules_;
  Text shape_text_;
  bool features_in_id_ = true;
  bool plain_ = false;

 private:
  [[nodiscard]] const Entry* find(const std::string& name) const;
  [[nodiscard]] Case variant(const Kept& base, const Kept& spec, const MakeCase& make_case,
                             const Settings& settings) const;
};

/// The fields of the spec that an op makes its cases of, declared once:
///
///   void declare(Fields<Spec>& made) {
///     made.size("rows", &Spec::rows).size("hidden", &Spec::hidden);
///     made.flag("residual", &Spec::fused).says("residual", "plain").family("family", &Spec::family);
///   }
///
/// Ids, features, families, sizes, what a table of cases can say (harness/sweep/case_table.h) and what can be
/// set to shrink a failing case follow, in the order of the declaration. `access` is what std::invoke takes
/// to get a reference to the value from a Spec&: a pointer to a member, or a function.
template <class Spec>
class Fields : private FieldList {
 public:
  Fields() {
    clone_ = [](const void* spec) -> std::shared_ptr<void> { return std::make_shared<Spec>(of(spec)); };
    dtype_ = [](const void* spec) { return of(spec).dtype; };
    layout_ = [](const void* spec) { return layout_name(of(spec).layout); };
  }

  /// A number of at least `least` (a case that has less keeps it), in steps of `step` from there. Part of the
  /// shape.
  template <class Access>
  Fields& size(const std::string& name, Access access, std::int64_t least = 1, std::int64_t step = 1) {
    dimensions_.push_back({name, getter(access), setter<std::int64_t>(access), true});
    return number(name, access, least, step);
  }

  /// The same, but no part of the shape.
  template <class Access>
  Fields& number(const std::string& name, Access access, std::int64_t least = 1, std::int64_t step = 1) {
    add_number(name, getter(access), setter<std::int64_t>(access), least, step);
    return *this;
  }

  /// One of several values by name, the first `simple` of them the simplest first: a failing case is tried
  /// with those before its own. A case that has none of the values keeps its own.
  template <class T, class Access>
  Fields& choice(const std::string& name, Access access, const std::vector<Value<T>>& values,
                 std::size_t simple = 1) {
    std::vector<std::string> names;
    std::vector<T> all;
    for (const Value<T>& one : values) {
      names.push_back(one.name);
      all.push_back(one.value);
    }
    const auto place = [access, all](const void* spec) {
      std::size_t at = 0;
      while (at < all.size() && !(get(access, of(spec)) == all[at])) ++at;
      return at;
    };
    add_choice(name, names, simple, place,
               [access, all](void* spec, std::size_t at) { std::invoke(access, of(spec)) = all[at]; });
    for (std::size_t at = 0; at < values.size(); ++at) {
      const auto is_this = [place, at](const void* spec) { return place(spec) == at; };
      if (!values[at].feature.empty()) {
        features_.push_back([is_this, feature = values[at].feature](const void* spec) {
          return is_this(spec) ? feature : std::string();
        });
      }
      if (!values[at].families.empty()) families_.push_back({values[at].families, is_this, true});
    }
    return *this;
  }

  /// The same of an enumeration whose enumerators have these names, in their order.
  template <class Access>
  Fields& choice(const std::string& name, Access access, std::string_view names, std::size_t simple = 1) {
    using T = decltype(get(access, std::declval<const Spec&>()));
    std::vector<Value<T>> values;
    for (const std::string& one : words_of(names)) values.push_back({one, static_cast<T>(values.size())});
    return choice<T>(name, access, values, simple);
  }

  template <class Access>
  Fields& flag(const std::string& name, Access access, bool simplest = false) {
    last_flag_ = getter(access);
    last_name_ = name;
    return choice<bool>(name, access,
                        {{simplest ? "on" : "off", simplest}, {simplest ? "off" : "on", !simplest}});
  }

  /// The flag before it is a feature.
  Fields& says() { return says(last_name_); }
  /// Features of the flag before it, where it is on and where it is off; empty: none.
  Fields& says(const std::string& on, const std::string& off = "") {
    features_.push_back([on, off, is_on = last_flag_](const void* spec) { return is_on(spec) ? on : off; });
    return *this;
  }

  /// A dtype of floats, none of which is simpler.
  template <class Access>
  Fields& floats(const std::string& name, Access access) {
    return choice<DType>(name, access, {{"f32", DType::kF32}, {"f16", DType::kF16}, {"bf16", DType::kBF16}},
                         0);
  }

  /// What tables alone can set: NAME=TEXT, or a flag, NAME.
  Fields& word(const std::string& name, bool (*assign)(Spec&, const std::string&)) {
    words_.push_back({name, [=](void* spec, const std::string& text) { return assign(of(spec), text); }});
    return *this;
  }
  Fields& word(const std::string& name, bool Spec::*flag) {
    words_.push_back({name, [=](void* spec, const std::string&) { return of(spec).*flag = true; }});
    return *this;
  }

  /// A scalar that is simple at one value. "large" is what f16, too, can hold of a large one.
  template <class Access, class T>
  Fields& scalar(const std::string& name, Access access, T simplest) {
    const auto text = [access](const void* spec) { return fmt::format("{}", get(access, of(spec))); };
    const auto assign = [access](void* spec, const std::string& said) {
      const char* const large = of(spec).dtype == DType::kF16 ? "1e4" : "1e30";
      const auto value = parse_number<T>(said == "large" ? large : said);
      if (value) std::invoke(access, of(spec)) = *value;
      return value.has_value();
    };
    entries_.push_back(
        {.name = name, .simple = {fmt::format("{}", simplest)}, .text = text, .assign = assign});
    return *this;
  }

  /// The kind of the data: that of the last one declared is the case's. Its feature is its name, but for
  /// normal ones.
  template <class Access>
  Fields& family(const std::string& name, Access access, bool is_feature = true) {
    family_ = getter(access);
    std::vector<Value<Family>> values;
    for (Family one : {Family::kEqual, Family::kIntegers, Family::kOneHot, Family::kPositive, Family::kNormal,
                       Family::kUniform, Family::kOutliers, Family::kSubnormal, Family::kCancel}) {
      values.push_back({family_name(one), one, is_feature && one != Family::kNormal ? family_name(one) : ""});
    }
    return choice<Family>(name, access, values, values.size());
  }

  Fields& layout() { return choice("layout", &Spec::layout, "contiguous strided"); }
  /// The layout's name, where it is not a Layout.
  template <class F>
  Fields& layout_text(F text) {
    layout_ = says_of(text);
    return *this;
  }

  /// Dtypes that are the case's unless a table says more.
  template <class... Members>
  Fields& dtypes(Members... members) {
    same_dtypes_ = [=](void* spec) { ((of(spec).*members = of(spec).dtype), ...); };
    return *this;
  }

  /// A feature that follows from several fields; empty: none.
  template <class F>
  Fields& feature(F text) {
    features_.push_back(says_of(text));
    return *this;
  }
  template <class F>
  Fields& feature(const std::string& name, F holds) {
    features_.push_back([name, holds](const void* spec) {
      return static_cast<bool>(std::invoke(holds, of(spec))) ? name : std::string();
    });
    return *this;
  }

  /// "plain" is the feature of a case that has no other.
  Fields& plain() {
    plain_ = true;
    return *this;
  }

  /// Families where `holds`. Of `exclusive` ones the first that does counts alone, and the family field's
  /// does not count beside it.
  template <class F>
  Fields& special(std::vector<std::string> families, F holds, bool exclusive = true) {
    families_.push_back({std::move(families), getter(holds), exclusive});
    return *this;
  }

  /// The shape in words of its own, in place of the sizes.
  template <class F>
  Fields& shape_text(F text) {
    shape_text_ = says_of(text);
    return *this;
  }

  /// What the id says after the features ("residual_x"), or in their place; "_x" continues what it said last.
  template <class F>
  Fields& option(F text) {
    options_.push_back(says_of(text));
    return *this;
  }
  /// The same of a value: "window_{}", where it is not what it is `without`.
  template <class Access, class T = bool>
  Fields& option(const std::string& format, Access access, T without = {}) {
    options_.push_back([=](const void* spec) {
      const auto value = get(access, of(spec));
      const bool said = value != static_cast<decltype(value)>(without);
      return said ? fmt::format(fmt::runtime(format), value) : std::string();
    });
    return *this;
  }
  Fields& no_features_in_id() {
    features_in_id_ = false;
    return *this;
  }

  /// A size that is no field, for the edges that coverage asks for ("tiled_rows"); below 0 where the spec has
  /// none. `set` makes a spec of that size.
  template <class Access>
  Fields& alias(const std::string& name, Access get_size, std::function<void(Spec&, std::int64_t)> set) {
    dimensions_.push_back(
        {name, getter(get_size), [set](void* spec, std::int64_t wanted) { set(of(spec), wanted); }, false});
    return *this;
  }

  /// More than one tile, wave or block of the kernel.
  template <class F>
  Fields& over_tile(F rule) {
    over_tile_ = getter(rule);
    return *this;
  }

  /// Changes what follows from other settings.
  Fields& settle(std::function<void(Spec&)> change) {
    settle_ = [change](void* spec) { change(of(spec)); };
    return *this;
  }
  /// What every spec must hold, beyond what each field says.
  template <class F>
  Fields& require(F rule) {
    rules_.push_back(getter(rule));
    return *this;
  }

  /// Sets the size of this name, which an edge of the suite is beside.
  void resize(Spec& spec, const std::string& name, std::int64_t size) const {
    dimension(name).set(&spec, size);
  }
  [[nodiscard]] std::int64_t size_of(const Spec& spec, const std::string& name) const {
    return dimension(name).get(&spec);
  }

  /// The spec of this dtype and layout that says nothing else.
  [[nodiscard]] Spec of_form(DType dtype, Layout layout) const {
    Spec spec{};
    spec.dtype = dtype;
    spec.layout = layout;
    if (same_dtypes_) same_dtypes_(&spec);
    return spec;
  }

  /// Sets what a line of a table says.
  void set(Spec& spec, const TableCase& row) const { set_row(&spec, row); }

  /// The specs of a table of cases: `base` with the sizes of a line, in the order of their declaration, and
  /// its words.
  [[nodiscard]] std::vector<Spec> expand(std::string_view table, const Spec& base, std::size_t& turn) const {
    std::vector<Spec> specs;
    for (const TableCase& row : read_case_table(table, turn, {dtype_name(dtype_(&base)), layout_(&base)})) {
      Spec& spec = specs.emplace_back(base);
      set_row(&spec, row);
      spec.quick = row.quick;
      spec.emulated = row.emulated && layout_(&spec) == layout_name(Layout::kContiguous);
    }
    return specs;
  }

  /// The case of `spec`, all but what prepares it.
  [[nodiscard]] Case describe(const std::string& op, const Spec& spec) const {
    Case test = case_of(op, &spec);
    test.quick = spec.quick;
    test.emulated = spec.emulated;
    return test;
  }

  /// Value of Case::variants for the case that `make_case` made of `spec`.
  template <class MakeOne>
  [[nodiscard]] std::function<Variants()> variants(const Spec& spec, const MakeOne& make_case) const {
    return [this, spec, make_case] {
      const auto kept = std::make_shared<const Spec>(spec);
      return variants_of(kept, kept, [make_case](const void* changed) { return make_case(of(changed)); });
    };
  }

 private:
  static const Spec& of(const void* spec) { return *static_cast<const Spec*>(spec); }
  static Spec& of(void* spec) { return *static_cast<Spec*>(spec); }

  template <class Access>
  static auto get(const Access& access, const Spec& spec) {
    if constexpr (std::is_invocable_v<const Access&, const Spec&>) {
      return std::remove_cvref_t<decltype(std::invoke(access, spec))>(std::invoke(access, spec));
    } else {
      return std::remove_cvref_t<decltype(std::invoke(access, const_cast<Spec&>(spec)))>(
          std::invoke(access, const_cast<Spec&>(spec)));
    }
  }
  template <class Access>
  static auto getter(const Access& access) {
    return [access](const void* spec) { return get(access, of(spec)); };
  }
  template <class T, class Access>
  static auto setter(const Access& access) {
    return [access](void* spec, T value) { std::invoke(access, of(spec)) = value; };
  }
  template <class F>
  static Text says_of(const F& text) {
    return [text](const void* spec) { return std::string(std::invoke(text, of(spec))); };
  }
};

/// What `declare` declares, once.
template <class Spec, void (*declare)(Fields<Spec>&)>
[[nodiscard]] const Fields<Spec>& declared() {
  static const auto all = [] {
    Fields<Spec> made;
    declare(made);
    return made;
  }();
  return all;
}

}  // namespace hipforge::harness
