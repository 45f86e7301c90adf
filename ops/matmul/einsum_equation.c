#include "ops/matmul/einsum_equation.h"

static int equation_label(char c) {
  return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26 : -1;
}

/* Where the term that begins at `begin` ends: an operand's at a comma. */
static size_t equation_end(const einsum_equation *equation, size_t begin) {
  if (begin > equation->left) return equation->size;
  while (begin < equation->left && equation->text[begin] != ',') begin++;
  return begin;
}

/* Letters and whether there is a "...". false: something else, or too much of it. */
static bool equation_scan(const einsum_equation *equation, size_t begin, int *letters, bool *has_ellipsis) {
  const size_t end = equation_end(equation, begin);
  *letters = 0;
  *has_ellipsis = false;
  for (size_t i = begin; i < end; i++) {
    const char c = equation->text[i];
    if (c == ' ') continue;
    if (equation_label(c) >= 0) {
      if (++*letters > NORMA_MAX_RANK) return false;
      continue;
    }
    if (c != '.' || i + 2 >= end || equation->text[i + 1] != '.' || equation->text[i + 2] != '.') return false;
    if (*has_ellipsis) return false;
    *has_ellipsis = true;
    i += 2;
  }
  return true;
}

/* How often each letter occurs among the operands. */
static void equation_count(const einsum_equation *equation, size_t *counts) {
  for (int i = 0; i < EINSUM_ELLIPSIS; i++) counts[i] = 0;
  for (size_t i = 0; i < equation->left; i++) {
    const int label = equation_label(equation->text[i]);
    if (label >= 0) counts[label]++;
  }
}

/* Each letter of the result belongs to an operand and comes once. */
static norma_status equation_check_result(const node *node, const einsum_equation *equation, norma_error *error) {
  size_t counts[EINSUM_ELLIPSIS];
  bool taken[EINSUM_ELLIPSIS] = {false};
  equation_count(equation, counts);
  for (size_t i = equation->left; i < equation->size; i++) {
    const int label = equation_label(equation->text[i]);
    if (label < 0) continue;
    if (counts[label] == 0 || taken[label])
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "'%c' of the result %s", equation->text[i],
                           counts[label] == 0 ? "belongs to no operand" : "comes twice");
    taken[label] = true;
  }
  return NORMA_OK;
}

norma_status einsum_read_equation(const node *node, einsum_equation *equation, norma_error *error) {
  const attribute *given = node_attribute(node, "equation");
  *equation = (einsum_equation){.text = given->s.data, .size = given->s.size, .left = given->s.size, .terms = 1};
  for (size_t i = 0; i + 1 < equation->size && !equation->has_arrow; i++) {
    equation->has_arrow = equation->text[i] == '-' && equation->text[i + 1] == '>';
    if (equation->has_arrow) equation->left = i;
  }
  for (size_t i = 0; i < equation->left && equation->terms < INT32_MAX; i++)
    equation->terms += equation->text[i] == ',';
  if (equation->terms != node->input_count)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "the equation has %d terms for %d operands",
                         equation->terms, node->input_count);
  size_t begin = 0;
  for (int i = 0; i < equation->terms + equation->has_arrow; i++) {
    int letters;
    bool has_ellipsis;
    if (i == equation->terms) begin = equation->left + 2;
    if (!equation_scan(equation, begin, &letters, &has_ellipsis))
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node,
                           "term %d of the equation is not at most %d letters with at most one \"...\"", i,
                           NORMA_MAX_RANK);
    begin = equation_end(equation, begin) + 1;
  }
  return equation_check_result(node, equation, error);
}

/* The labels of a term, with `ellipsis` dimensions for "...". */
static const char *equation_expand(const einsum_equation *equation, size_t begin, int ellipsis, einsum_term *term) {
  const size_t end = equation_end(equation, begin);
  term->count = 0;
  for (size_t i = begin; i < end; i++) {
    const int label = equation_label(equation->text[i]), labels = label >= 0                 ? 1
                                                                  : equation->text[i] == '.' ? ellipsis
                                                                                             : 0;
    if (term->count + labels > NORMA_MAX_RANK) return "the equation gives a tensor of too many dimensions";
    for (int k = labels; k > 0; k--)
      term->labels[term->count++] = (uint8_t)(label >= 0 ? label : EINSUM_ELLIPSIS + k - 1);
    if (equation->text[i] == '.') i += 2;
  }
  return NULL;
}

const char *einsum_next_term(const einsum_equation *equation, size_t *cursor, int rank, einsum_term *term,
                             int *ellipsis) {
  const size_t begin = *cursor;
  int letters;
  bool has_ellipsis;
  equation_scan(equation, begin, &letters, &has_ellipsis);
  *cursor = equation_end(equation, begin) + 1;
  *ellipsis = has_ellipsis ? rank - letters : 0;
  if (rank < letters) return "an operand has fewer dimensions than its term";
  if (!has_ellipsis && rank > letters) return "an operand has more dimensions than its term";
  return equation_expand(equation, begin, *ellipsis, term);
}

const char *einsum_result_term(const einsum_equation *equation, int ellipsis, einsum_term *term) {
  size_t counts[EINSUM_ELLIPSIS];
  if (equation->has_arrow) return equation_expand(equation, equation->left + 2, ellipsis, term);
  equation_count(equation, counts);
  term->count = 0;
  for (int k = ellipsis; k > 0; k--) term->labels[term->count++] = (uint8_t)(EINSUM_ELLIPSIS + k - 1);
  for (int label = 0; label < EINSUM_ELLIPSIS; label++) {
    if (counts[label] != 1) continue;
    if (term->count == NORMA_MAX_RANK) return "the equation gives a tensor of too many dimensions";
    term->labels[term->count++] = (uint8_t)label;
  }
  return NULL;
}
