"""The table of bias measures. Data of others are read from files that the user names; the rest is of our own."""

from __future__ import annotations

from nlpladder.bias.measures import MeasureEntry
from nlpladder.bias.pairs.pair_scores import ESTIMATORS

#: In the order of reports: vectors, encoders, language models, text to text, classifiers, generations.
TABLE: tuple[MeasureEntry, ...] = (
    MeasureEntry(
        name="weat", title="WEAT effect size and difference", needs=("WordEmbeddings",),
        function="nlpladder.bias.words.associations:weat", data="weat",
        loader="nlpladder.bias.words.association_data:load_association_tests",
        built_in="nlpladder.bias.words.association_data:own_tests", graded=False, source="Caliskan et al. 2017",
    ),
    MeasureEntry(
        name="rnd", title="Relative norm difference", needs=("WordEmbeddings",),
        function="nlpladder.bias.words.word_measures:rnd", data="weat",
        loader="nlpladder.bias.words.association_data:load_association_tests",
        built_in="nlpladder.bias.words.association_data:own_tests", source="Garg et al. 2018",
    ),
    MeasureEntry(
        name="mac", title="Mean average cosine distance", needs=("WordEmbeddings",),
        function="nlpladder.bias.words.word_measures:mac", data="weat",
        loader="nlpladder.bias.words.association_data:load_association_tests",
        built_in="nlpladder.bias.words.association_data:own_tests", graded=False, source="Manzini et al. 2019",
    ),
    MeasureEntry(
        name="ect", title="Embedding coherence test", needs=("WordEmbeddings",),
        function="nlpladder.bias.words.word_measures:ect", data="weat",
        loader="nlpladder.bias.words.association_data:load_association_tests",
        built_in="nlpladder.bias.words.association_data:own_tests", graded=False, source="Dev and Phillips 2019",
    ),
    MeasureEntry(
        name="rnsb", title="Relative negative sentiment bias", needs=("WordEmbeddings",),
        function="nlpladder.bias.words.negative_sentiment:rnsb",
        built_in="nlpladder.bias.words.association_data:pleasant_names",
        graded=False, source="Sweeney and Najafian 2019",
    ),
    MeasureEntry(
        name="ripa", title="Relational inner product association", needs=("WordEmbeddings",),
        function="nlpladder.bias.words.pair_measures:ripa",
        built_in="nlpladder.bias.words.association_data:career_family_pairs",
        source="Ethayarajh et al. 2019",
    ),
    MeasureEntry(
        name="direct_bias", title="Direct bias along the first component of pairs", needs=("WordEmbeddings",),
        function="nlpladder.bias.words.pair_measures:direct_bias",
        built_in="nlpladder.bias.words.association_data:career_family_pairs", graded=False,
        source="Bolukbasi et al. 2016",
    ),
    MeasureEntry(
        name="sc_weat", title="Single-category WEAT of occupations", needs=("WordEmbeddings",),
        function="nlpladder.bias.words.single_category:single_category_weat",
        built_in="nlpladder.bias.words.association_data:OWN_OCCUPATIONS", graded=False, source="Caliskan et al. 2017",
    ),
    MeasureEntry(
        name="seat", title="Sentence encoder association test", needs=("TextEncoder", "WordEmbeddings"),
        function="nlpladder.bias.encoders.sentence_associations:seat", data="weat",
        loader="nlpladder.bias.words.association_data:load_association_tests",
        built_in="nlpladder.bias.words.association_data:own_tests", graded=False, source="May et al. 2019",
    ),
    MeasureEntry(
        name="ceat", title="Contextualised embedding association test", needs=("TextEncoder", "WordEmbeddings"),
        function="nlpladder.bias.encoders.contextual_associations:ceat", data="weat",
        loader="nlpladder.bias.words.association_data:load_association_tests",
        built_in="nlpladder.bias.words.association_data:own_tests", graded=False, needed_options={"texts": "lines"},
        source="Guo and Caliskan 2021",
    ),
    MeasureEntry(
        name="occupation_log_odds", title="Log-odds of he against she beside occupations",
        needs=("MaskedLanguageModel", "LanguageModel", "TextToTextModel"),
        function="nlpladder.bias.probabilities.log_odds:occupation_log_odds",
        built_in="nlpladder.bias.probabilities.occupation_questions:OccupationData", stereotypes=True,
        source="log-odds in the sentence, Kurita et al. 2019 before their prior",
    ),
    MeasureEntry(
        name="lpbs", title="Log-probability bias score",
        needs=("MaskedLanguageModel", "LanguageModel", "TextToTextModel"),
        function="nlpladder.bias.probabilities.log_odds:lpbs",
        built_in="nlpladder.bias.probabilities.occupation_questions:OccupationData", stereotypes=True,
        source="Kurita et al. 2019",
    ),
    MeasureEntry(
        name="counterfactual_perplexity", title="Texts against their counterparts about the other gender",
        needs=("LanguageModel",),
        function="nlpladder.bias.probabilities.counterfactual_perplexity:counterfactual_perplexity",
        data="text", loader="nlpladder.bias.probabilities.counterfactual_perplexity:load_counterfactual_texts",
        source="Lu et al. 2020",
    ),
    MeasureEntry(
        name="winobias", title="WinoBias: the pronoun the stereotype expects against the other",
        needs=("MaskedLanguageModel", "LanguageModel", "TextToTextModel"),
        function="nlpladder.bias.probabilities.winobias:winobias", data="winobias",
        loader="nlpladder.bias.probabilities.winobias_data:load_winobias", graded=False, stereotypes=True,
        source="Zhao et al. 2018",
    ),
    MeasureEntry(
        name="winobias_antecedent", title="WinoBias: accuracy with the stereotype minus accuracy against it",
        needs=("MaskedLanguageModel", "LanguageModel", "TextToTextModel"),
        function="nlpladder.bias.probabilities.winobias:winobias_antecedent", data="winobias",
        loader="nlpladder.bias.probabilities.winobias_data:load_winobias", graded=False, stereotypes=True,
        source="Zhao et al. 2018",
    ),
    MeasureEntry(
        name="winogender", title="Winogender: pairs resolved differently by gender",
        needs=("MaskedLanguageModel", "LanguageModel", "TextToTextModel"),
        function="nlpladder.bias.probabilities.winogender:winogender", data="winogender",
        loader="nlpladder.bias.probabilities.winogender_data:load_winogender", graded=False, stereotypes=True,
        source="Rudinger et al. 2018",
    ),
    MeasureEntry(
        name="bbq", title="BBQ: s_AMB, s_DIS, cost of non-alignment",
        needs=("MaskedLanguageModel", "LanguageModel", "TextToTextModel"),
        function="nlpladder.bias.probabilities.question_answering:bbq", data="bbq",
        loader="nlpladder.bias.probabilities.question_answering_data:load_bbq", graded=False, stereotypes=True,
        source="Parrish et al. 2022",
    ),
    MeasureEntry(
        name="counterfactual_swaps", title="Swaps of gendered words, pronouns and names against control swaps",
        needs=("TextClassifier",), function="nlpladder.bias.classifiers.classifier_swaps:counterfactual_swaps",
        data="labelled",
        loader="nlpladder.bias.classifiers.labelled_files:load_labelled_texts",
        built_in="nlpladder.bias.classifiers.labelled_texts:swap_texts", source="Garg et al. 2019",
    ),
    MeasureEntry(
        name="identity_term_effect", title="Log-odds of a label by identity term in the same sentences",
        needs=("TextClassifier",), function="nlpladder.bias.classifiers.classifier_swaps:identity_term_effects",
        stereotypes=True,
        source="Dixon et al. 2018",
    ),
    MeasureEntry(
        name="subgroup_auc", title="Subgroup, BPSN and BNSP AUC, average equality gaps", needs=("TextClassifier",),
        function="nlpladder.bias.classifiers.subgroup_auc:subgroup_auc", data="labelled",
        loader="nlpladder.bias.classifiers.labelled_files:load_labelled_texts",
        built_in="nlpladder.bias.classifiers.labelled_texts:identity_templates", graded=False, stereotypes=True,
        source="Borkan et al. 2019",
    ),
    MeasureEntry(
        name="demographic_parity", title="Demographic parity gap", needs=("TextClassifier",),
        function="nlpladder.bias.classifiers.classifier_gaps:demographic_parity", data="labelled",
        loader="nlpladder.bias.classifiers.labelled_files:load_labelled_texts",
        built_in="nlpladder.bias.classifiers.labelled_texts:identity_templates", graded=False, stereotypes=True,
        source="Hardt et al. 2016",
    ),
    MeasureEntry(
        name="equalised_odds", title="Gaps of true- and false-positive rates", needs=("TextClassifier",),
        function="nlpladder.bias.classifiers.classifier_gaps:equalised_odds", data="labelled",
        loader="nlpladder.bias.classifiers.labelled_files:load_labelled_texts",
        built_in="nlpladder.bias.classifiers.labelled_texts:identity_templates", graded=False, stereotypes=True,
        source="Hardt et al. 2016",
    ),
    MeasureEntry(
        name="group_calibration", title="Gaps of calibration between groups", needs=("TextClassifier",),
        function="nlpladder.bias.classifiers.group_calibration:group_calibration", data="labelled",
        loader="nlpladder.bias.classifiers.labelled_files:load_labelled_texts",
        source="Guo et al. 2017; Pleiss et al. 2017",
    ),
    MeasureEntry(
        name="gendered_continuations", title="Gender that continuations name, by prompt group",
        needs=("LanguageModel",), function="nlpladder.bias.generations.generation:pronoun_rates", data="prompts",
        loader="nlpladder.bias.generations.prompts:load_prompts",
        built_in="nlpladder.bias.generations.prompts:occupation_prompts",
        source="Sheng et al. 2019",
    ),
    MeasureEntry(
        name="honest", title="HONEST: hurtful continuations", needs=("LanguageModel",),
        function="nlpladder.bias.generations.honest:honest", data="honest",
        loader="nlpladder.bias.generations.honest:load_honest",
        graded=False, stereotypes=True, source="Nozza et al. 2021",
    ),
    MeasureEntry(
        name="generated_toxicity", title="Toxicity or regard of continuations by a judge that is audited first",
        needs=("LanguageModel",), function="nlpladder.bias.generations.generated_text:generated_toxicity",
        data="prompts",
        loader="nlpladder.bias.generations.prompts:load_prompts",
        built_in="nlpladder.bias.generations.prompts:person_prompts",
        stereotypes=True, needed_options={"judge": "model"}, source="Gehman et al. 2020",
    ),
    *(
        MeasureEntry(
            name=one.name, title=f"CrowS-Pairs: {one.title}",
            needs=("MaskedLanguageModel",) if one.needs == "masked" else ("LanguageModel",),
            function="nlpladder.bias.pairs.crows_pairs:crows_pairs", data="crows_pairs",
            loader="nlpladder.bias.pairs.crows_pairs_data:load_crows_pairs", arguments={"estimator": one.name},
            graded=False, stereotypes=True, shares=True, source=one.source,
        )
        for one in ESTIMATORS.values()
    ),
    MeasureEntry(
        name="stereoset_intrasentence", title="StereoSet: SS, LMS and ICAT of the word in a gap",
        needs=("MaskedLanguageModel", "LanguageModel"), function="nlpladder.bias.pairs.stereoset:stereoset",
        data="stereoset", loader="nlpladder.bias.pairs.stereoset_data:load_stereoset",
        arguments={"task": "intrasentence"},
        graded=False, stereotypes=True, source="Nadeem et al. 2021, StereoSet, section 4",
    ),
    MeasureEntry(
        name="stereoset_intersentence", title="StereoSet: SS, LMS and ICAT of the next sentence",
        needs=("LanguageModel",), function="nlpladder.bias.pairs.stereoset:stereoset", data="stereoset",
        loader="nlpladder.bias.pairs.stereoset_data:load_stereoset", arguments={"task": "intersentence"}, graded=False,
        stereotypes=True, source="Nadeem et al. 2021, StereoSet, section 4",
    ),
)  # fmt: skip
