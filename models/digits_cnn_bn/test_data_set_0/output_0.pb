
BprobabilitiesJ(œ]q;7Ùt?Ë[¹:!òç;no€;
k;©·;l–{;O><—Y„;