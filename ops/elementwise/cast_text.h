/*
 * Numbers to text and back, in the C locale's notation whatever the program's locale is.
 *
 * A float becomes the shortest text that gives it back: "0.47", "1e+20", "-inf", "nan"; plain notation for exponents
 * -4 to 15 as NumPy has it. Bool becomes "True" or "False".
 */
#ifndef OPS_ELEMENTWISE_CAST_TEXT_H
#define OPS_ELEMENTWISE_CAST_TEXT_H

#include "engine/base/element_type.h"

#define CAST_TEXT_SIZE 40

/* Writes element `index`, terminated, and returns the length. */
size_t cast_number_to_text(norma_element_type type, const void *data, int64_t index, char text[CAST_TEXT_SIZE]);

/* Reads a whole text of at most 255 characters, blanks around it allowed, as element `index`. Integers may be written
 * as floats, which are truncated and limited to the type's range. false: it is no number. */
bool cast_text_to_number(const norma_string *text, norma_element_type type, void *data, int64_t index);

#endif
