#include "harness/sweep/fields.h"

#include "kernels/runtime/status.h"

#include <algorithm>

namespace hipforge::harness {

namespace {

constexpr const char* kOwnValue = "own";

}  // namespace

void FieldList::add_number(const std::string& name, Number get, SetNumber set, std::int64_t least,
                           std::int64_t step) {
  Entry& entry = entries_.emplace_back(Entry{name, {}, true, least, step});
  entry.text = [get = std::move(get)](const void* spec) { return std::to_string(get(spec)); };
  entry.assign = [set = std::move(set), least, step](void* spec, const std::string& text) {
    const auto value = parse_number<std::int64_t>(text, {.least = least});
    if (!value || (*value - least) % step != 0) return false;
    set(spec, *value);
    return true;
  };
}

void FieldList::add_choice(const std::string& name, const std::vector<std::string>& names, std::size_t simple,
                           std::function<std::size_t(const void*)> get,
                           std::function<void(void*, std::size_t)> set) {
  const auto end = names.begin() + static_cast<std::ptrdiff_t>(std::min(simple, names.size()));
  Entry& entry = entries_.emplace_back(Entry{name, {names.begin(), end}});
  entry.is_choice = true;
  entry.text = [names, get = std::move(get)](const void* spec) {
    const std::size_t at = get(spec);
    return at < names.size() ? names[at] : kOwnValue;
  };
  entry.assign = [names, set = std::move(set)](void* spec, const std::string& text) {
    const auto at = std::find(names.begin(), names.end(), text);
    if (at == names.end()) return false;
    set(spec, static_cast<std::size_t>(at - names.begin()));
    return true;
  };
}

const FieldList::Entry* FieldList::find(const std::string& name) const {
  const auto entry =
      std::find_if(entries_.begin(), entries_.end(), [&](const Entry& one) { return one.name == name; });
  return entry == entries_.end() ? nullptr : &*entry;
}

bool FieldList::set_word(void* spec, const std::string& word) const {
  const std::size_t equals = word.find('=');
  const std::string name = word.substr(0, equals);
  const std::string value = equals == std::string::npos ? "on" : word.substr(equals + 1);
  for (const Word& one : words_) {
    if (one.name == name) return one.assign(spec, value);
  }
  if (const Entry* const entry = find(name)) return entry->assign(spec, value);
  return std::count_if(entries_.begin(), entries_.end(),
                       [&](const Entry& one) { return one.is_choice && one.assign(spec, word); }) == 1;
}

void FieldList::set_row(void* spec, const TableCase& row) const {
  auto size = row.sizes.begin();
  for (const Dimension& dimension : dimensions_) {
    if (!dimension.in_shape) continue;
    if (size == row.sizes.end()) throw Error(invalid_argument(row.line, ": a size is missing"));
    dimension.set(spec, *size++);
  }
  if (size != row.sizes.end()) throw Error(invalid_argument(row.line, ": a size too many"));
  for (const std::string& word : row.words) {
    if (!set_word(spec, word)) throw Error(invalid_argument(row.line, ": no field, or several, know ", word));
  }
}

const FieldList::Dimension& FieldList::dimension(const std::string& name) const {
  const auto found = std::ranges::find(dimensions_, name, &Dimension::name);
  if (found == dimensions_.end()) throw Error(invalid_argument("no size ", name));
  return *found;
}

Case FieldList::case_of(const std::string& op, const void* spec) const {
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
    if ((special && exclusive) || !holds(spec)) continue;
    special = special || exclusive;
    test.families.insert(test.families.end(), families.begin(), families.end());
  }
  if (!special && family_) test.families.emplace_back(input_family(family_(spec)));
  Shape shape;
  std::vector<std::pair<std::string, std::int64_t>> sizes;
  for (const Dimension& dimension : dimensions_) {
    const std::int64_t size = dimension.get(spec);
    if (size < 0) continue;
    sizes.emplace_back(dimension.name, size);
    if (dimension.in_shape) shape.push_back(size);
    test.odd = test.odd || any_odd({size});
  }
  set_sizes(test, std::move(sizes));
  test.shape = shape_text_ ? shape_text_(spec) : shape_name(shape);
  test.over_tile = over_tile_ && over_tile_(spec);
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

Case FieldList::variant(const Kept& base, const Kept& spec, const MakeCase& make_case,
                        const Settings& settings) const {
  const std::shared_ptr<void> changed = clone_(spec.get());
  for (const auto& [name, value] : settings) {
    const Entry* const entry = find(name);
    if (entry == nullptr) {
      std::string names;
      for (const Entry& one : entries_) names += " " + one.name;
      throw Error(invalid_argument("no setting ", name, ": choose from", names));
    }
    if (!entry->assign(changed.get(), value)) {
      throw Error(invalid_argument("setting ", name, " cannot be ", value));
    }
  }
  if (settle_) settle_(changed.get());
  for (const Rule& rule : rules_) {
    if (!rule(changed.get())) throw Error(invalid_argument("these settings do not go together"));
  }
  Case test = make_case(changed.get());
  test.id = make_case(base.get()).id;
  char separator = '@';
  for (const Entry& entry : entries_) {
    const std::string value = entry.text(changed.get());
    if (value == entry.text(base.get())) continue;
    test.id += fmt::format("{}{}={}", separator, entry.name, value);
    separator = ',';
  }
  test.variants = [this, base, spec = Kept(changed), make_case] {
    return variants_of(base, spec, make_case);
  };
  return test;
}

Variants FieldList::variants_of(const Kept& base, const Kept& spec, const MakeCase& make_case) const {
  Variants made;
  for (const Entry& entry : entries_) {
    Knob knob{entry.name, entry.text(spec.get()), entry.is_size, entry.least, entry.step, {}};
    for (const std::string& name : entry.simple) {
      if (name == knob.value) break;
      knob.simpler.push_back(name);
    }
    made.knobs.push_back(std::move(knob));
  }
  made.make = [this, base, spec, make_case](const Settings& settings) {
    return variant(base, spec, make_case, settings);
  };
  return made;
}

}  // namespace hipforge::harness
