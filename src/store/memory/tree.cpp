#include "store/memory/tree.h"

namespace estiba::store {

KeyRange KeyRange::of_prefix(std::string_view prefix) {
  KeyRange range{std::string(prefix), std::string(prefix), false};
  while (!range.last.empty() && static_cast<unsigned char>(range.last.back()) == 0xff) range.last.pop_back();
  if (!range.last.empty()) {
    range.last.back() = static_cast<char>(static_cast<unsigned char>(range.last.back()) + 1);
    range.has_end = true;
  }
  return range;
}

uint64_t Tree::size_of(const NodeRef& node) { return node ? node->size : 0; }
uint64_t Tree::size() const { return size_of(root_); }

Tree Tree::from_sorted(const std::vector<EntryPtr>& entries) {
  Tree tree;
  tree.root_ = build(entries.data(), entries.size());
  return tree;
}

Tree::NodeRef Tree::build(const EntryPtr* entries, size_t count) {
  if (count == 0) return {};
  size_t middle = count / 2;
  NodeRef node(new Node(entries[middle]));
  node->left = build(entries, middle);
  node->right = build(entries + middle + 1, count - middle - 1);
  node->size = static_cast<uint32_t>(count);
  return node;
}

const EntryPtr* Tree::find(std::string_view key) const {
  const Node* node = root_.get();
  while (node) {
    int order = key.compare(node->entry->key);
    if (order == 0) return &node->entry;
    node = (order < 0 ? node->left : node->right).get();
  }
  return nullptr;
}

uint64_t Tree::rank(std::string_view key) const {
  uint64_t smaller = 0;
  const Node* node = root_.get();
  while (node) {
    if (std::string_view(node->entry->key) < key) {
      smaller += size_of(node->left) + 1;
      node = node->right.get();
    } else {
      node = node->left.get();
    }
  }
  return smaller;
}

uint64_t Tree::count(const KeyRange& range) const {
  uint64_t end = range.has_end ? rank(range.last) : size();
  uint64_t begin = rank(range.first);
  return end > begin ? end - begin : 0;
}

void Tree::collect(const KeyRange& range, uint64_t limit, std::vector<EntryPtr>& out) const {
  uint64_t total = count(range);
  if (limit == 0 || limit > total) limit = total;
  if (limit == 0) return;
  out.reserve(out.size() + limit);
  walk(root_.get(), range, out.size() + limit, out);
}

// Returns false when `out` holds `limit` entries.
bool Tree::walk(const Node* node, const KeyRange& range, uint64_t limit, std::vector<EntryPtr>& out) {
  while (node) {
    std::string_view key = node->entry->key;
    bool from = key >= range.first;
    bool until = !range.has_end || key < range.last;
    if (from && !walk(node->left.get(), range, limit, out)) return false;
    if (from && until) {
      out.push_back(node->entry);
      if (out.size() == limit) return false;
    }
    if (!until) return true;
    node = node->right.get();
  }
  return true;
}

Tree::NodeRef Tree::own(NodeRef node) {
  if (node.unique()) return node;
  return NodeRef(new Node(*node));
}

void Tree::update(Node& node) { node.size = static_cast<uint32_t>(size_of(node.left) + size_of(node.right) + 1); }

Tree::NodeRef Tree::rotate_left(NodeRef node) {
  NodeRef right = own(std::move(node->right));
  node->right = std::move(right->left);
  update(*node);
  right->left = std::move(node);
  update(*right);
  return right;
}

Tree::NodeRef Tree::rotate_right(NodeRef node) {
  NodeRef left = own(std::move(node->left));
  node->left = std::move(left->right);
  update(*node);
  left->right = std::move(node);
  update(*left);
  return left;
}

// `node` is owned; its subtrees are balanced and one of them has changed by one key.
Tree::NodeRef Tree::balance(NodeRef node) {
  uint64_t left = size_of(node->left) + 1;
  uint64_t right = size_of(node->right) + 1;
  if (right > 3 * left) {
    if (size_of(node->right->left) + 1 >= 2 * (size_of(node->right->right) + 1)) {
      node->right = rotate_right(own(std::move(node->right)));
    }
    return rotate_left(std::move(node));
  }
  if (left > 3 * right) {
    if (size_of(node->left->right) + 1 >= 2 * (size_of(node->left->left) + 1)) {
      node->left = rotate_left(own(std::move(node->left)));
    }
    return rotate_right(std::move(node));
  }
  update(*node);
  return node;
}

Tree::NodeRef Tree::insert(NodeRef node, EntryPtr&& entry) {
  if (!node) return NodeRef(new Node(std::move(entry)));
  int order = entry->key.compare(node->entry->key);
  node = own(std::move(node));
  if (order == 0) {
    node->entry = std::move(entry);
    return node;
  }
  NodeRef& side = order < 0 ? node->left : node->right;
  side = insert(std::move(side), std::move(entry));
  return balance(std::move(node));
}

Tree::NodeRef Tree::pop_first(NodeRef node, EntryPtr& first) {
  if (!node->left) {
    first = node->entry;
    return node->right;
  }
  node = own(std::move(node));
  node->left = pop_first(std::move(node->left), first);
  return balance(std::move(node));
}

Tree::NodeRef Tree::remove(NodeRef node, std::string_view key) {
  int order = key.compare(node->entry->key);
  if (order == 0) {
    if (!node->left) return node->right;
    if (!node->right) return node->left;
    node = own(std::move(node));
    EntryPtr next;
    node->right = pop_first(std::move(node->right), next);
    node->entry = std::move(next);
    return balance(std::move(node));
  }
  node = own(std::move(node));
  NodeRef& side = order < 0 ? node->left : node->right;
  side = remove(std::move(side), key);
  return balance(std::move(node));
}

void Tree::put(EntryPtr entry) { root_ = insert(std::move(root_), std::move(entry)); }
void Tree::erase(std::string_view key) { root_ = remove(std::move(root_), key); }

bool Tree::check(const Node* node, std::string_view& last, bool& any) {
  if (!node) return true;
  uint64_t left = size_of(node->left), right = size_of(node->right);
  if (node->size != left + right + 1 || left + 1 > 3 * (right + 1) || right + 1 > 3 * (left + 1)) return false;
  if (!check(node->left.get(), last, any)) return false;
  if (any && !(last < std::string_view(node->entry->key))) return false;
  any = true;
  last = node->entry->key;
  return check(node->right.get(), last, any);
}

bool Tree::valid() const {
  std::string_view last;
  bool any = false;
  return check(root_.get(), last, any);
}

}  // namespace estiba::store
