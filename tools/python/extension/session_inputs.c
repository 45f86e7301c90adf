/* What runs are given: arrays are read where they lie, and cannot be written meanwhile; all else becomes a value. */
#include "sessions.h"

#include <string.h>

/* Inputs of at most so many bytes are copied before a run: that is quicker than to keep others from writing them. */
#define SESSIONS_SMALL_INPUT 4096

/* ----------------------------------------------------------------------------------------------------------- arrays */

/* Keeps arrays from being written through Python while the GIL is not held. Views that exist already are not seen. */
static void inputs_lock(input_slot *slot, PyObject *object) {
  for (int i = 0; i < SESSIONS_LOCKS && object && PyArray_Check(object); i++) {
    PyArrayObject *array = (PyArrayObject *)object;
    object = PyArray_BASE(array);
    if (!PyArray_ISWRITEABLE(array)) continue;
    PyArray_CLEARFLAGS(array, NPY_ARRAY_WRITEABLE);
    Py_INCREF(array);
    slot->locked[i] = array;
  }
}

static void inputs_release_slot(input_slot *slot) {
  for (int i = 0; i < SESSIONS_LOCKS; i++) {
    if (!slot->locked[i]) continue;
    PyArray_ENABLEFLAGS(slot->locked[i], NPY_ARRAY_WRITEABLE);
    Py_CLEAR(slot->locked[i]);
  }
  Py_CLEAR(slot->held);
  norma_value_destroy(slot->value);
  slot->value = NULL;
}

void inputs_release(session_object *session) {
  for (Py_ssize_t i = 0; i < session->model->input_count; i++) inputs_release_slot(&session->inputs[i]);
}

/* Operators check an index or a size, and then use it: nobody may write it in between. */
static bool inputs_hold_indices(const norma_tensor *tensor) {
  return tensor->type == NORMA_INT64 || tensor->type == NORMA_INT32 || tensor->type == NORMA_UINT64 ||
         tensor->type == NORMA_UINT32;
}

static bool inputs_copy(input_slot *slot, norma_tensor *tensor) {
  if (slot->copy_bytes < tensor->size_bytes) {
    PyMem_Free(slot->copy);
    slot->copy_bytes = 0;
    slot->copy = PyMem_Malloc(tensor->size_bytes);
    if (!slot->copy) {
      PyErr_NoMemory();
      return false;
    }
    slot->copy_bytes = tensor->size_bytes;
  }
  if (tensor->size_bytes > 0) memcpy(slot->copy, tensor->data, tensor->size_bytes);
  tensor->data = slot->copy;
  return true;
}

/* An array of numbers is given to the session as it lies. */
static bool inputs_set_array(session_object *session, input_slot *slot, PyObject *array, bool is_new,
                             norma_tensor *tensor) {
  const bool is_copied =
      tensor->size_bytes <= SESSIONS_SMALL_INPUT || session->copies_inputs || inputs_hold_indices(tensor);
  if (is_copied && !is_new) {
    if (!inputs_copy(slot, tensor)) return false;
  } else {
    if (!is_new) inputs_lock(slot, array);
    Py_INCREF(array);
    slot->held = array;
  }
  norma_error error;
  if (norma_session_set_input(session->session, slot->name, tensor, &error) == NORMA_OK) return true;
  errors_raise(sessions_state(session), &error);
  return false;
}

/* ------------------------------------------------------------------------------------------------------------ slots */

static bool inputs_set_value(session_object *session, input_slot *slot, PyObject *object) {
  module_state *state = sessions_state(session);
  slot->value = values_from_object(state, session->model->runtime->runtime, object, slot->type);
  if (!slot->value) return false;
  norma_error error;
  if (norma_session_set_input_value(session->session, slot->name, slot->value, &error) == NORMA_OK) return true;
  errors_raise(state, &error);
  return false;
}

static bool inputs_set_other(session_object *session, input_slot *slot, PyObject *object) {
  const norma_value_kind kind = norma_type_kind(slot->type);
  if (kind != NORMA_VALUE_TENSOR || object == Py_None) return inputs_set_value(session, slot, object);
  norma_tensor tensor;
  PyArrayObject *array = arrays_from_object(sessions_state(session), object, norma_type_element(slot->type), &tensor);
  if (!array) return false;
  const bool is_plain = tensor.type != NORMA_STRING && !arrays_is_packed(tensor.type);
  const bool is_new = (PyObject *)array != object && PyArray_CHKFLAGS(array, NPY_ARRAY_OWNDATA);
  const bool is_set = is_plain ? inputs_set_array(session, slot, (PyObject *)array, is_new, &tensor)
                               : inputs_set_value(session, slot, (PyObject *)array);
  Py_DECREF(array);
  return is_set;
}

/* Names the input in an exception that does not. */
static void inputs_blame(const session_object *session, const input_slot *slot) {
  PyObject *type, *exception, *traceback;
  PyErr_Fetch(&type, &exception, &traceback);
  PyErr_NormalizeException(&type, &exception, &traceback);
  PyObject *result =
      PyObject_CallFunction(sessions_state(session)->blame, "OO", slot->key, exception ? exception : Py_None);
  Py_XDECREF(result);
  Py_XDECREF(type);
  Py_XDECREF(exception);
  Py_XDECREF(traceback);
}

static bool inputs_set(session_object *session, input_slot *slot, PyObject *object) {
  norma_tensor tensor;
  bool is_set;
  slot->is_bound = true;
  if (PyArray_Check(object) && arrays_view(sessions_state(session), (PyArrayObject *)object, &tensor) &&
      (tensor.type <= NORMA_COMPLEX128 && norma_type_element(slot->type) <= NORMA_COMPLEX128) &&
      norma_type_kind(slot->type) == NORMA_VALUE_TENSOR) {
    is_set = inputs_set_array(session, slot, object, false, &tensor);
  } else {
    is_set = inputs_set_other(session, slot, object);
  }
  if (!is_set) inputs_blame(session, slot);
  return is_set;
}

/* ------------------------------------------------------------------------------------------------------- containers */

/* An input that this run is not given must not have what an earlier one was given. */
static void inputs_forget(session_object *session) {
  norma_session_clear_inputs(session->session);
  for (Py_ssize_t i = 0; i < session->model->input_count; i++) session->inputs[i].is_bound = false;
}

static PyObject *inputs_names(const session_object *session) {
  PyObject *list = PyList_New(0);
  for (Py_ssize_t i = 0; list && i < session->model->input_count; i++) {
    if (PyList_Append(list, session->inputs[i].key) != 0) Py_CLEAR(list);
  }
  return list;
}

/* Raises the error that a dict has a key that is no input. */
static bool inputs_refuse_unknown(const session_object *session, PyObject *dict) {
  PyObject *names = inputs_names(session), *key, *item;
  Py_ssize_t place = 0;
  while (names && PyDict_Next(dict, &place, &key, &item)) {
    if (PySequence_Contains(names, key) != 0) continue;
    PyObject *text = PyUnicode_FromFormat("the model has no input %R; its inputs are %R", key, names);
    PyObject *bytes = text ? text_bytes(text) : NULL;
    if (bytes) {
      errors_raise_status(sessions_state(session), NORMA_ERROR_ARGUMENT, NULL, "%s", PyBytes_AsString(bytes));
    }
    Py_XDECREF(text);
    Py_XDECREF(bytes);
    break;
  }
  Py_XDECREF(names);
  if (!PyErr_Occurred()) PyErr_SetString(PyExc_RuntimeError, "the inputs were changed while they were read");
  return false;
}

static bool inputs_take_dict(session_object *session, PyObject *dict) {
  Py_ssize_t found = 0;
  bool is_forgotten = false;
  for (Py_ssize_t i = 0; i < session->model->input_count && !is_forgotten; i++) {
    PyObject *object = PyDict_GetItemWithError(dict, session->inputs[i].key);
    if (!object && PyErr_Occurred()) return false;
    found += object != NULL;
    is_forgotten = !object && session->inputs[i].is_bound;
  }
  if (is_forgotten) {
    inputs_forget(session);
    return inputs_take_dict(session, dict);
  }
  if (found != PyDict_Size(dict)) return inputs_refuse_unknown(session, dict);
  for (Py_ssize_t i = 0; i < session->model->input_count; i++) {
    PyObject *object = PyDict_GetItemWithError(dict, session->inputs[i].key);
    if (!object) continue;
    Py_INCREF(object);
    const bool is_set = inputs_set(session, &session->inputs[i], object);
    Py_DECREF(object);
    if (!is_set) return false;
  }
  return true;
}

static bool inputs_take_list(session_object *session, PyObject *given) {
  const Py_ssize_t count = PySequence_Size(given);
  if (count < 0) return false;
  if (count > session->model->input_count) {
    errors_raise_status(sessions_state(session), NORMA_ERROR_ARGUMENT, NULL, "%zd inputs are given, the model has %zd",
                        count, session->model->input_count);
    return false;
  }
  for (Py_ssize_t i = count; i < session->model->input_count; i++) {
    if (session->inputs[i].is_bound) inputs_forget(session);
  }
  for (Py_ssize_t i = 0; i < count; i++) {
    PyObject *object = PySequence_GetItem(given, i);
    const bool is_set = object && inputs_set(session, &session->inputs[i], object);
    Py_XDECREF(object);
    if (!is_set) return false;
  }
  return true;
}

bool inputs_take(session_object *session, PyObject *given) {
  if (PyDict_Check(given)) return inputs_take_dict(session, given);
  if (PyList_Check(given) || PyTuple_Check(given)) return inputs_take_list(session, given);
  if (!PyMapping_Check(given) || PyArray_Check(given)) {
    PyErr_Format(PyExc_TypeError, "inputs are a dict by name or a list in the order of the model, not a %R",
                 (PyObject *)Py_TYPE(given));
    return false;
  }
  PyObject *dict = PyDict_New();
  const bool is_taken = dict && PyDict_Update(dict, given) == 0 && inputs_take_dict(session, dict);
  Py_XDECREF(dict);
  return is_taken;
}
