
BprobabilitiesJ(nq“;νΜu?>υ¥;e—;"…’;1¬;f™;S*;XΤ»;Πα2;